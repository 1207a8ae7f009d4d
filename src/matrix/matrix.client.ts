/** The Matrix homeserver's client API, as far as the city needs it: setting a user's presence. */
import { Agent, request } from 'undici';
import type { MatrixPresence } from '../contract/matrix.ts';
import { AppError } from '../platform/errors.ts';

interface MatrixClientOptions {
  /** The homeserver's base URL; undefined when there is none, and every call fails with `matrix_unavailable`. */
  homeserverUrl: string | undefined;
  connectTimeoutMs?: number;
  /** For the whole call, connecting included; milliseconds. */
  totalTimeoutMs?: number;
}

export type MatrixClient = ReturnType<typeof createMatrixClient>;

/** A client of one homeserver; it follows no redirects and keeps no tokens. */
export function createMatrixClient({
  homeserverUrl,
  connectTimeoutMs = 2_000,
  totalTimeoutMs = 5_000,
}: MatrixClientOptions) {
  const dispatcher = new Agent({ connect: { timeout: connectTimeoutMs } });
  const base = homeserverUrl?.replace(/\/+$/, '');

  /**
   * Sets the presence of `matrix_user_id` on the homeserver with that user's own token.
   * Errors: `forbidden` when the homeserver refuses the token, `matrix_unavailable` for all else.
   * Source: https://spec.matrix.org/v1.11/client-server-api/#put_matrixclientv3presenceuseridstatus
   */
  async function setPresence({ matrix_user_id, access_token, status, status_msg }: MatrixPresence) {
    if (base === undefined) {
      throw new AppError('matrix_unavailable', 'No Matrix homeserver is configured.');
    }
    const path = `/_matrix/client/v3/presence/${encodeURIComponent(matrix_user_id)}/status`;
    const { statusCode, body } = await request(base + path, {
      dispatcher,
      method: 'PUT',
      headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ presence: status, status_msg }),
      signal: AbortSignal.timeout(totalTimeoutMs),
    }).catch((cause: unknown) => {
      throw new AppError('matrix_unavailable', 'The Matrix homeserver does not answer.', { cause });
    });
    // The status says it all; a short body is drained so that the connection serves the next call.
    void body.dump().catch(() => {});

    if (statusCode === 401 || statusCode === 403) {
      throw new AppError('forbidden', 'The Matrix homeserver refuses this access token.');
    }
    if (statusCode !== 200) {
      throw new AppError('matrix_unavailable', `The Matrix homeserver answered ${statusCode}.`);
    }
  }

  /** Drops the connections; a call in flight fails with `matrix_unavailable`. */
  const close = () => dispatcher.destroy();

  return { setPresence, close };
}
