/** Tokens that are made by hand, and what they are worth. */
import { createHmac } from 'node:crypto';
import { createRest } from './rest.ts';
import { connect } from './sockets.ts';

export const HOUR = 3600;
export const now = () => Math.floor(Date.now() / 1000);
export const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token signed with HMAC-SHA256 whatever its header says, so that nothing corrects it. */
export function forge(
  payload: object,
  secret: string,
  header: object = { alg: 'HS256', typ: 'JWT' },
): string {
  const content = `${base64(header)}.${base64(payload)}`;
  return `${content}.${createHmac('sha256', secret).update(content).digest('base64url')}`;
}

/** The status and code that a token gets on REST of the node at `url`, and the codes at both handshakes. */
export async function tried(url: string, token: string | undefined) {
  const { status, body } = await createRest(url, token)('GET', '/city/rooms');
  const codes = await Promise.all(
    ['/rooms', '/presence'].map((namespace) =>
      connect(url + namespace, token).then(
        (socket) => (socket.close(), 'ok'),
        (error: { data?: { code?: string } }) => error.data?.code,
      ),
    ),
  );
  return [status, body.code ?? 'ok', ...codes];
}
export const OK = [200, 'ok', 'ok', 'ok'];
export const REFUSED = [401, 'unauthenticated', 'unauthenticated', 'unauthenticated'];
export const UNAVAILABLE = [503, 'unavailable', 'unavailable', 'unavailable'];
