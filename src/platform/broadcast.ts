/**
 * An event for everybody in a Socket.IO room of this node. Socket.IO makes a packet for each receiver and takes it
 * through four layers; here one packet stands in the queue of each connection, which is what all of that ends in
 * (socket.io 4.8, engine.io 6.6). From there on a queue is flushed as ever, over whatever transport.
 */
import type { RoomsServerEvents } from '../contract/events.ts';
import type { RoomsNamespace } from './io.ts';
import { textFrame } from './shared-writes.ts';

/** The part of an Engine.IO socket that its types keep private. */
interface Connection {
  readonly readyState: string;
  readonly writeBuffer: unknown[];
  flush(): void;
}

/** The packet type EVENT of the Socket.IO protocol. */
const EVENT = 2;

/** Does what `namespace.local.to(channel).emit(event, payload)` does; `payload` holds nothing binary. */
export function broadcastHere<Event extends keyof RoomsServerEvents>(
  namespace: Pick<RoomsNamespace, 'name' | 'adapter' | 'sockets'>,
  channel: string,
  event: Event,
  ...[payload]: Parameters<RoomsServerEvents[Event]>
): void {
  const members = namespace.adapter.rooms.get(channel);
  if (!members) return;
  const data = `${EVENT}${namespace.name},${JSON.stringify([event, payload])}`;
  const packet = {
    type: 'message',
    data,
    options: { compress: false, wsPreEncodedFrame: [textFrame(data)] },
  };
  for (const id of members) {
    const connection = namespace.sockets.get(id)?.conn as unknown as Connection | undefined;
    if (connection?.readyState !== 'open') continue;
    connection.writeBuffer.push(packet);
    connection.flush();
  }
}
