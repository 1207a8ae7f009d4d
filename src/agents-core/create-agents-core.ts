/** The constructor of Agents Core: the configured transport inside deadline, retry and breaker. */
import { Agent } from 'undici';
import { AgentsCoreError, type AgentsCore } from './agents-core.ts';
import { createHttpAttempt } from './http.ts';
import { DEFAULT_RESILIENCE, withResilience, type Resilience } from './resilience.ts';

interface AgentsCoreOptions extends Partial<Resilience> {
  /** The base URL of Agents Core; undefined when there is none, and every call fails with `unavailable`. */
  url: string | undefined;
  connectTimeoutMs?: number;
}

/** Agents Core over HTTP at `url`; the timings, in milliseconds, have the contract's values as defaults. */
export function createAgentsCore({
  url,
  connectTimeoutMs = 2_000,
  ...resilience
}: AgentsCoreOptions): AgentsCore {
  if (url === undefined) {
    return {
      invoke: () => Promise.reject(new AgentsCoreError('unavailable', 'no Agents Core is configured')),
      close: () => Promise.resolve(),
    };
  }
  const dispatcher = new Agent({ connect: { timeout: connectTimeoutMs } });
  return {
    invoke: withResilience(createHttpAttempt(url, dispatcher), { ...DEFAULT_RESILIENCE, ...resilience }),
    close: () => dispatcher.destroy(),
  };
}
