/** The headers that tell a browser what it may do with an answer; on every answer of the public port. */
import helmet from 'helmet';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Pages load from here alone, and nobody puts them in a frame. */
const secure = () =>
  helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        // Of connections too: 'self' is a WebSocket to the same host as well.
        defaultSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
        formAction: ["'self'"],
      },
    },
  });

/** One middleware, for express and for Engine.IO alike: what helmet says, asked once, since it says the same each time. */
export function createSecurityHeaders() {
  const headers: [name: string, value: string][] = [];
  const listener = {
    setHeader: (name: string, value: string) => headers.push([name, value]),
    removeHeader: () => {},
  };
  secure()({} as IncomingMessage, listener as unknown as ServerResponse, () => {});
  return (_request: unknown, response: ServerResponse, next: () => void): void => {
    for (const [name, value] of headers) response.setHeader(name, value);
    next();
  };
}
