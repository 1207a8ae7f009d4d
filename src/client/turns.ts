/** Turns of the conversation with a Second Me: a question of this client, or one that was asked elsewhere. */
import type { ChatMessage } from '../contract/second-me.ts';
import { createKey } from './keys.ts';
import type { Turn } from './types.ts';

export const isUnderWay = ({ status }: Turn) =>
  status === 'sending' || status === 'queued' || status === 'running';

export const newTurn = (part: Partial<Turn>): Turn => ({
  client_id: createKey(),
  invocation_id: null,
  prompt: null,
  status: 'queued',
  reply: '',
  fallback: false,
  tokens_used: null,
  latency_ms: null,
  error: null,
  ...part,
});

/** The history without the questions that have a turn of their own. */
export function withoutTurns(
  history: readonly ChatMessage[],
  turns: readonly Turn[],
): readonly ChatMessage[] {
  const rest = [...history];
  for (const { prompt, invocation_id, reply, status } of [...turns].reverse()) {
    if (prompt === null || invocation_id === null) continue;
    const at = rest.findLastIndex(({ role, content }) => role === 'user' && content === prompt);
    if (at === -1) continue;
    const answered = status === 'succeeded' && rest[at + 1]?.content === reply;
    rest.splice(at, answered ? 2 : 1);
  }
  return rest;
}
