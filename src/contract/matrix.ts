/** Presence on a Matrix homeserver, set with the user's own token. */
import { z } from 'zod';
import { text } from './primitives.ts';

export const MatrixPresence = z.strictObject({
  matrix_user_id: z
    .string()
    .max(255)
    .regex(/^@[^:\s\p{C}]+:[^\s\p{C}]+$/u, '@localpart:server'),
  access_token: z
    .string()
    .min(1)
    .max(4096)
    .regex(/^[\x21-\x7e]+$/, 'printable ASCII'),
  status: z.enum(['online', 'unavailable', 'offline']),
  status_msg: text(500).optional(),
});
export type MatrixPresence = z.infer<typeof MatrixPresence>;

export const MatrixPresenceSet = z.object({
  ok: z.literal(true),
  matrix_user_id: z.string(),
  status: z.enum(['online', 'unavailable', 'offline']),
});
