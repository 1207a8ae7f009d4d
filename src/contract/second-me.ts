/** Second Me: invocations of a user's personal agent, and the conversation with it. */
import { z } from 'zod';
import { AgentId, CallerId, ClientId, InvocationId, queryInt, Timestamp, visibleText } from './primitives.ts';

export const Prompt = visibleText(5_000);

export const Invoke = z.strictObject({ prompt: Prompt });
export const SocketInvoke = z.strictObject({ prompt: Prompt, client_id: ClientId.optional() });

export const InvocationStatus = z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled']);
export type InvocationStatus = z.infer<typeof InvocationStatus>;

export const ChatMessage = z
  .object({ role: z.enum(['user', 'assistant']), content: z.string(), created_at: Timestamp })
  .meta({ id: 'ChatMessage' });
export type ChatMessage = z.infer<typeof ChatMessage>;

export const Invocation = z
  .object({
    invocation_id: InvocationId,
    status: InvocationStatus,
    reply: z.string().nullable(),
    tokens_used: z.int().nullable(),
    latency_ms: z.int().nullable(),
    fallback: z.boolean(),
    created_at: Timestamp,
  })
  .meta({ id: 'Invocation' });
export type Invocation = z.infer<typeof Invocation>;

/** The answer of an invocation whose reply was there in time. */
export const InvocationReply = z.object({
  invocation_id: InvocationId,
  reply: z.string(),
  tokens_used: z.int().nullable(),
  latency_ms: z.int().nullable(),
  fallback: z.boolean(),
  history: z.array(ChatMessage),
});
export type InvocationReply = z.infer<typeof InvocationReply>;

export const InvocationAccepted = z.object({ invocation_id: InvocationId, status: InvocationStatus });
export type InvocationAccepted = z.infer<typeof InvocationAccepted>;

export const History = z.strictObject({ limit: queryInt(1, 200).default(5) });

export const Profile = z.object({
  user_id: CallerId,
  agent_id: AgentId,
  total_interactions: z.int(),
  last_interaction: Timestamp.nullable(),
});
export type Profile = z.infer<typeof Profile>;

export const Cleared = z.object({ status: z.literal('cleared'), deleted: z.int() });
