/** What an answer of Agents Core may look like, whatever it came over, and what becomes of it. */
import { z } from 'zod';
import { AgentsCoreError, type AgentReply } from './agents-core.ts';

export const ANSWER_MAX_BYTES = 256 * 1024;

/** A wrong count is not worth a reply: it is taken for none. The bound is that of a PostgreSQL integer. */
export const TokensUsed = z
  .int()
  .min(0)
  .max(2 ** 31 - 1)
  .nullable()
  .catch(null);

/** A whole answer; `reply` and `response` are two names of the same. */
export const Answer = z.object({
  reply: z.string().nullish(),
  response: z.string().nullish(),
  tokens_used: TokensUsed,
});

/** `text`, which is JSON, as `schema` has it; throws `bad_answer`. */
export function parseAs<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new AgentsCoreError('bad_answer', 'the answer does not have the agreed form', { cause });
  }
}

/** `text` without what PostgreSQL does not store: NUL is removed, a lone surrogate becomes U+FFFD. */
export const storable = (text: string) => text.replaceAll('\0', '').replace(/\p{Cs}/gu, '\ufffd');

/** The reply out of a whole answer; throws what `toReply` throws. */
export const replyOf = ({ reply, response, tokens_used }: z.infer<typeof Answer>): AgentReply =>
  toReply(storable(reply ?? response ?? ''), tokens_used);

/** A storable `reply` as the port gives it; throws `bad_answer` when it is blank and `too_large` when it is. */
export function toReply(reply: string, tokens_used: number | null): AgentReply {
  if (!/[^\s\p{C}\p{Z}]/u.test(reply)) throw new AgentsCoreError('bad_answer', 'the reply is blank');
  // Broken UTF-8 grows when it is replaced, so that a bound on what came is not one on the reply.
  if (Buffer.byteLength(reply) > ANSWER_MAX_BYTES) throw tooLarge();
  return { reply, tokens_used };
}

export const tooLarge = () =>
  new AgentsCoreError('too_large', `the answer is over ${ANSWER_MAX_BYTES} bytes`);
