/** AgentsCore: the port through which Second Me asks an agent, and the one error it fails with. */

/** One question to one agent; `messages` is the conversation before `input`, oldest first. */
export interface AgentCall {
  /** Forwarded as the idempotency key: a repeated call is the same call. */
  invocation_id: string;
  agent_id: string;
  input: string;
  user_id: string;
  messages: { role: string; content: string }[];
}

/** What the agent said: text that PostgreSQL can store, not blank, at most 256 KB; `null` tokens when not told. */
export interface AgentReply {
  reply: string;
  tokens_used: number | null;
}

/** The way to ask an agent; every transport implements it. */
export interface AgentsCore {
  /**
   * Asks an agent and waits for its whole reply, over as many attempts as the time allows.
   *
   * `signal` cancels at once. `onDelta` gets the pieces of a streamed reply in order, none after the promise has
   * settled; `onRestart` says that the pieces so far are void because the reply begins anew.
   * Fails with AgentsCoreError.
   */
  invoke(
    call: AgentCall,
    options: { signal: AbortSignal; onDelta?: (text: string) => void; onRestart?: () => void },
  ): Promise<AgentReply>;
  /** Drops the connections; meant for after the last call, and one still in flight fails with `cancelled`. */
  close(): Promise<void>;
}

/** One try at a call, without deadline, retry or breaker: what a transport has to provide. */
export type Attempt = (
  call: AgentCall,
  options: { signal: AbortSignal; onDelta: (text: string) => void },
) => Promise<AgentReply>;

/**
 * Why there is no reply: the time is up; nothing answers, or only 429 and 5xx; the call was refused with a 4xx; the
 * answer makes no sense; it is over 256 KB; the caller's signal; or too many failures lately to even ask.
 */
export type AgentsCoreFailure =
  'timeout' | 'unavailable' | 'refused' | 'bad_answer' | 'too_large' | 'cancelled' | 'circuit_open';

interface AgentsCoreErrorOptions {
  cause?: unknown;
  /** Given when the same call may be tried again: after how many milliseconds at the earliest. */
  retryAfterMs?: number;
}

export class AgentsCoreError extends Error {
  readonly reason: AgentsCoreFailure;
  readonly retryAfterMs: number | undefined;

  constructor(reason: AgentsCoreFailure, message: string, options: AgentsCoreErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'AgentsCoreError';
    this.reason = reason;
    this.retryAfterMs = options.retryAfterMs;
  }
}
