/** The constructor of Agents Core: the configured transport inside deadline, retry and breaker. */
import { Agent } from 'undici';
import { AgentsCoreError, type AgentsCore, type Attempt } from './agents-core.ts';
import { createHttpAttempt } from './http.ts';
import { createNatsAttempt } from './nats.ts';
import { DEFAULT_RESILIENCE, withResilience, type Resilience } from './resilience.ts';

interface AgentsCoreOptions extends Partial<Resilience> {
  /** Where Agents Core is; undefined when there is none, and every call fails with `unavailable`. */
  url: string | undefined;
  /** What it is reached over: `url` is the base URL of its HTTP, or the servers of NATS. */
  transport?: 'http' | 'nats';
  connectTimeoutMs?: number;
}

/** Agents Core at `url`; the timings, in milliseconds, have the contract's values as defaults. */
export function createAgentsCore({
  url,
  transport = 'http',
  connectTimeoutMs = 2_000,
  ...resilience
}: AgentsCoreOptions): AgentsCore {
  if (url === undefined) {
    return {
      invoke: () => Promise.reject(new AgentsCoreError('unavailable', 'no Agents Core is configured')),
      close: () => Promise.resolve(),
    };
  }
  const { attempt, close } =
    transport === 'nats'
      ? createNatsAttempt({ url, connectTimeoutMs, log: resilience.log })
      : overHttp(url, connectTimeoutMs);
  return { invoke: withResilience(attempt, { ...DEFAULT_RESILIENCE, ...resilience }), close };
}

function overHttp(url: string, connectTimeoutMs: number): { attempt: Attempt; close(): Promise<void> } {
  const dispatcher = new Agent({ connect: { timeout: connectTimeoutMs } });
  return { attempt: createHttpAttempt(url, dispatcher), close: () => dispatcher.destroy() };
}
