/** A relay in front of a server that does to one frame what a faulty server would do to a message. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { readMarker } from '../../bench/load/marker.ts';

/** What becomes of the struck delivery: it never comes, comes twice, or comes after its sender's next one. */
export type Strike = 'lose' | 'repeat' | 'swap';

/** Which delivery is struck: one with others before and after it. */
const STRUCK = 7;

export interface Relay {
  url: string;
  close(): Promise<void>;
}

/** Relays WebSockets to the server at `url` and strikes one delivery of a room message. */
export async function startRelay(url: string, strike: Strike): Promise<Relay> {
  const relay = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(relay, 'listening');
  let deliveries = 0;

  relay.on('connection', (client, request) => {
    const server = new WebSocket(url.replace('http', 'ws') + request.url);
    const opened = once(server, 'open');
    let held: { frame: string; sender: number } | undefined;
    client.on('message', (frame) => void opened.then(() => server.send(String(frame))));
    server.on('message', (data) => {
      const frame = String(data);
      const isDelivery = frame.startsWith('42/rooms,["room.message"');
      const struck = isDelivery && ++deliveries === STRUCK;
      const sender = isDelivery ? readMarker(Buffer.from(frame), 0)!.sender : undefined;
      if (struck && strike === 'swap') return void (held = { frame, sender: sender! });
      if (!struck || strike === 'repeat') client.send(frame);
      if (struck && strike === 'repeat') client.send(frame);
      if (held && held.sender === sender) {
        client.send(held.frame);
        held = undefined;
      }
    });
    client.on('close', () => server.terminate());
    server.on('close', () => client.terminate());
  });

  return {
    url: `http://127.0.0.1:${(relay.address() as AddressInfo).port}`,
    async close() {
      for (const client of relay.clients) client.terminate();
      relay.close();
      await once(relay, 'close');
    },
  };
}
