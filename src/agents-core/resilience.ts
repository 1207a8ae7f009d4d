/** Deadline, retry and circuit breaker around one attempt, the same for every transport. */
import {
  BrokenCircuitError,
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  DelegateBackoff,
  handleWhen,
  retry,
  TaskCancelledError,
  timeout,
  TimeoutStrategy,
  type CircuitBreakerPolicy,
  type IHalfOpenAfterBackoffContext,
  type IRetryBackoffContext,
} from 'cockatiel';
import type { Logger } from 'pino';
import { AgentsCoreError, type AgentsCore, type AgentsCoreFailure, type Attempt } from './agents-core.ts';

export interface Resilience {
  /** For all attempts of one call together, with the waits between them; milliseconds. */
  totalTimeoutMs: number;
  /** Attempts after the first. */
  retries: number;
  /** The wait before the first retry, doubled for each next; the actual wait is 50–100 % of it. */
  backoffMs: number;
  /** Attempts that fail one after another, over all calls, before the circuit opens. */
  breakerFailures: number;
  /** How long an open circuit refuses calls before one probe may go through. */
  breakerOpenMs: number;
  log?: Pick<Logger, 'info' | 'warn'> | undefined;
}

export const DEFAULT_RESILIENCE: Readonly<Resilience> = {
  totalTimeoutMs: 30_000,
  retries: 2,
  backoffMs: 300,
  breakerFailures: 5,
  breakerOpenMs: 15_000,
};

/** What a core in trouble does; a 4xx or the caller's own cancel says nothing about its health. */
const OUTAGE: readonly AgentsCoreFailure[] = ['timeout', 'unavailable', 'bad_answer', 'too_large'];

const failedWith = (error: unknown, reasons: readonly AgentsCoreFailure[]) =>
  error instanceof AgentsCoreError && reasons.includes(error.reason);

/**
 * Failures that a retry may mend, each with its wait: jittered exponential, on top of any Retry-After. One that is longer
 * than the time left until `endsAt` (performance.now()) ends the call, since asking earlier would be rude.
 */
function createRetry(options: Resilience, endsAt: number) {
  const mayRetry = (error: Error) =>
    error instanceof AgentsCoreError &&
    error.retryAfterMs !== undefined &&
    error.retryAfterMs < endsAt - performance.now();
  const backoff = new DelegateBackoff<IRetryBackoffContext<unknown>>(({ attempt, result }) => {
    const told = 'error' in result && result.error instanceof AgentsCoreError ? result.error.retryAfterMs : 0;
    return (told ?? 0) + options.backoffMs * 2 ** (attempt - 1) * (0.5 + Math.random() / 2);
  });
  // Unref: a wait that its caller has left must not hold the process; one still awaited is held by the deadline.
  return retry(handleWhen(mayRetry), { maxAttempts: options.retries, backoff }).dangerouslyUnref();
}

function createBreaker({ breakerFailures, breakerOpenMs, log }: Resilience) {
  // A probe that its caller cancels has proved nothing. Cockatiel would close the circuit, so it is counted as a
  // failed probe that keeps the circuit open for no time at all: the next call is the probe.
  const isCancelledProbe = (error: unknown) =>
    breaker.state === CircuitState.HalfOpen && failedWith(error, ['cancelled']);
  const breaker: CircuitBreakerPolicy = circuitBreaker(
    handleWhen((error) => failedWith(error, OUTAGE) || isCancelledProbe(error)),
    {
      breaker: new ConsecutiveBreaker(breakerFailures),
      halfOpenAfter: new DelegateBackoff<IHalfOpenAfterBackoffContext>(({ result }) =>
        'error' in result && failedWith(result.error, ['cancelled']) ? 0 : breakerOpenMs,
      ),
    },
  );
  breaker.onBreak((why) =>
    log?.warn({ err: 'error' in why ? why.error : undefined }, 'agents core: circuit open'),
  );
  breaker.onReset(() => log?.info('agents core: circuit closed'));
  return breaker;
}

/**
 * `attempt` with a deadline over all tries, retries of what may pass, and a circuit breaker shared by all calls.
 * What the returned function promises is written at AgentsCore.invoke.
 */
export function withResilience(attempt: Attempt, options: Resilience): AgentsCore['invoke'] {
  // Aggressive: the caller is released at once, also from a backoff or a connect that cannot be interrupted.
  const deadline = timeout(options.totalTimeoutMs, TimeoutStrategy.Aggressive);
  const breaker = createBreaker(options);

  return async function invoke(call, { signal: caller, onDelta, onRestart }) {
    const retrying = createRetry(options, performance.now() + options.totalTimeoutMs);
    let streamed = false;

    async function tryOnce(signal: AbortSignal) {
      if (streamed) onRestart?.();
      streamed = false;
      try {
        return await attempt(call, {
          signal,
          onDelta(text) {
            if (signal.aborted) return;
            streamed = true;
            onDelta?.(text);
          },
        });
      } catch (error) {
        // An aborted attempt may fail with anything.
        if (caller.aborted) throw cancelled(error);
        if (signal.aborted) throw timedOut(error);
        throw error;
      }
    }

    function tryUnlessOpen(signal: AbortSignal) {
      // A call that nobody waits for any more asks nothing, so it must not count either.
      if (signal.aborted) throw cancelled();
      // Cockatiel would let it wait for the probe, which may take the whole deadline.
      if (breaker.state === CircuitState.HalfOpen) throw circuitOpen();
      return breaker.execute(() => tryOnce(signal), signal);
    }

    try {
      return await deadline.execute(
        ({ signal }) => retrying.execute(() => tryUnlessOpen(signal), signal),
        caller,
      );
    } catch (error) {
      if (caller.aborted) throw cancelled(error);
      // By class: isTaskCancelledError of cockatiel 3.2.1 looks for another error's mark.
      if (error instanceof TaskCancelledError) throw timedOut(error);
      if (error instanceof BrokenCircuitError) throw circuitOpen(error);
      throw error;
    }
  };
}

const cancelled = (cause?: unknown) => new AgentsCoreError('cancelled', 'the call was cancelled', { cause });
const timedOut = (cause?: unknown) =>
  new AgentsCoreError('timeout', 'Agents Core did not finish in time', { cause });
const circuitOpen = (cause?: unknown) =>
  new AgentsCoreError('circuit_open', 'Agents Core failed too often lately; not asked', { cause });
