/** The calls that only read, found without Express: it tries one route after the other, which costs more than most answers. */
import type { Express, Request, Response } from 'express';
import { IncomingMessage, ServerResponse } from 'node:http';
import type { MessageClasses } from './http-server.ts';

type Listener = (request: Request, response: Response) => Promise<void>;

/**
 * Messages that are Express's from the start: to change the prototype of each, as it does otherwise, is slow, and so is
 * all that follows. Subclasses, whose instances have room for what Node puts into them.
 */
export function messageClasses(app: Express): MessageClasses {
  class Request extends IncomingMessage {}
  class Response<R extends Request> extends ServerResponse<R> {}
  const express = app as unknown as { request: object; response: object };
  Object.setPrototypeOf(Request.prototype, express.request);
  Object.setPrototypeOf(Response.prototype, express.response);
  express.request = Request.prototype;
  express.response = Response.prototype;
  return { IncomingMessage: Request, ServerResponse: Response };
}

export type Direct = ReturnType<typeof createDirect>;

/**
 * Takes GET requests of paths in which nothing is encoded, without a body, from no other origin, that the server made
 * by `messageClasses`. All others are Express's, which has the same listeners; a listener meets the same request either
 * way.
 */
export function createDirect(app: Express, onError: (error: unknown, response: Response) => void) {
  const routes: { path: string; pattern: RegExp; names: string[]; listener: Listener }[] = [];

  return {
    add(path: string, versioned: boolean, listener: Listener): void {
      const names = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name!);
      const pattern = path.replaceAll('.', '\\.').replace(/:\w+/g, '([A-Za-z0-9_-]+)');
      routes.push({
        path,
        pattern: new RegExp(`^${versioned ? '(?:/v1)?' : ''}${pattern}$`),
        names,
        listener,
      });
    },

    /** Answers the request; false when it is Express's. */
    answer(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
      const { method, headers, url = '' } = incoming;
      if (method !== 'GET' || headers.origin !== undefined) return false;
      if (Object.getPrototypeOf(incoming) !== app.request) return false;
      if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return false;
      const search = url.indexOf('?');
      const pathname = search === -1 ? url : url.slice(0, search);
      for (const { path, pattern, names, listener } of routes) {
        const found = pattern.exec(pathname);
        if (!found) continue;
        const [request, response] = [incoming as Request, outgoing as Response];
        request.res = response;
        request.route = { path };
        request.params = Object.fromEntries(names.map((name, index) => [name, found[index + 1]!]));
        listener(request, response).catch((error: unknown) => onError(error, response));
        return true;
      }
      return false;
    },
  };
}
