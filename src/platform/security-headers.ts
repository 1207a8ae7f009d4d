/** The headers that tell a browser what it may do with an answer; on every answer of the public port. */
import helmet from 'helmet';

/** One middleware, for express and for Engine.IO alike. Pages load from here alone, and nobody puts them in a frame. */
export const createSecurityHeaders = () =>
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
