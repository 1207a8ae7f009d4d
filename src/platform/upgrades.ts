/** Requests that offer another protocol: an offer that nobody takes is ignored, as HTTP lets a server do. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const wantsWebSocket = ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === 'websocket';
const ignore = () => {};

/** The head of `request` as it came, without the header that makes an offer of it. */
function headWithoutOffer(request: IncomingMessage): Buffer {
  const { method, url, httpVersion, rawHeaders } = request;
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]!.toLowerCase() !== 'upgrade') lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  }
  // Whoever wants a WebSocket has no use for the connection without one.
  if (wantsWebSocket(request)) lines.push('Connection: close');
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/**
 * Node hands every request with an Upgrade header to the `upgrade` listeners of a server that has any, and answers none
 * of them itself; Java's HttpClient and `curl --http2` send one (h2c) with every request. Here the listeners see those
 * that want a WebSocket on a path that begins with `webSockets`. The others go back onto their connection without the
 * header, and are read once more as what they are without it.
 */
export function ignoreUpgrades(server: Server, webSockets: string | undefined): void {
  const emit = server.emit.bind(server) as (event: string, ...args: unknown[]) => boolean;
  const answers = new WeakMap<Socket, ServerResponse>();
  // Node would leave headers out past a thousand, and a body whose length is left out is read as a request. What
  // bounds them is their size.
  server.maxHeadersCount = 0;

  const readAgain = (request: IncomingMessage, connection: Socket, rest: Buffer) => {
    const again = () => {
      connection.off('error', ignore);
      if (!connection.writable) return; // the answer before was its last
      connection.unshift(Buffer.concat([headWithoutOffer(request), rest]));
      emit('connection', connection);
    };
    const before = answers.get(connection);
    if (!before || before.closed) return again();
    // Answers go out in the order of their requests. Until then nobody listens, and a reset would end the process.
    connection.on('error', ignore);
    before.once('close', again);
  };

  server.emit = (event: string, ...args: unknown[]): boolean => {
    if (event === 'request') {
      const [request, response] = args as [IncomingMessage, ServerResponse];
      answers.set(request.socket, response);
    }
    if (event === 'upgrade') {
      const [request, connection, rest] = args as [IncomingMessage, Socket, Buffer];
      const taken =
        webSockets !== undefined && wantsWebSocket(request) && request.url!.startsWith(webSockets);
      if (!taken) {
        readAgain(request, connection, rest);
        return true;
      }
    }
    return emit(event, ...args);
  };
}
