/** The conversation with one's Second Me: its history, and the turns under way with their growing replies. */
import type { Invocation, InvocationStatus } from '../contract/second-me.ts';
import type { Connection } from './connection.ts';
import { asCityError, CityError } from './errors.ts';
import type { Rest } from './rest.ts';
import { createValue, whileWatched } from './store.ts';
import { isUnderWay, newTurn, withoutTurns } from './turns.ts';
import type { SecondMe, SecondMeState, Turn } from './types.ts';
import { waitFor } from './wait.ts';

const HISTORY = 100;
const PAUSE_MS = 2_000;

export function createSecondMe({ connection, rest }: { connection: Connection; rest: Rest }) {
  const state = createValue<SecondMeState>({ history: null, turns: [], profile: null, error: null });
  const closing = new AbortController();
  /** The index of the next piece of each growing reply. */
  const expected = new Map<string, number>();
  let watched = false;
  let submitting = Promise.resolve();

  const turns = () => state.getSnapshot().turns;
  const change = (clientId: string, part: Partial<Turn>) =>
    state.patch({
      turns: turns().map((turn) => (turn.client_id === clientId ? { ...turn, ...part } : turn)),
    });
  const remove = (gone: readonly Turn[]) =>
    state.patch({ turns: turns().filter((turn) => !gone.includes(turn)) });

  /** The turn of an invocation; one that was asked elsewhere gets a turn of its own. */
  function turnOf(invocation_id: string): Turn {
    const known = turns().find((turn) => turn.invocation_id === invocation_id);
    if (known) return known;
    const turn = newTurn({ invocation_id });
    state.patch({ turns: [...turns(), turn] });
    return turn;
  }

  function finish(
    { client_id, reply: soFar }: Turn,
    result: Omit<Invocation, 'created_at' | 'invocation_id'>,
  ) {
    const { status, reply, tokens_used, latency_ms, fallback } = result;
    change(client_id, { status, reply: reply ?? soFar, tokens_used, latency_ms, fallback });
  }

  async function readProfile(): Promise<void> {
    state.patch({ profile: await rest.profile() });
  }

  /** Reads the history anew, and what became of the turns that were under way. */
  async function refresh(): Promise<void> {
    try {
      for (const turn of turns()) {
        if (!isUnderWay(turn) || turn.invocation_id === null) continue;
        const result = await rest.getInvocation({ id: turn.invocation_id });
        const now = turns().find(({ client_id }) => client_id === turn.client_id);
        if (now && isUnderWay(now)) finish(now, result);
      }
      // What has finished before the history is read is in it.
      const finished = turns().filter((turn) => !isUnderWay(turn) && turn.status !== 'refused');
      const [history, profile] = await Promise.all([rest.history({ limit: HISTORY }), rest.profile()]);
      remove(finished);
      state.patch({ history: withoutTurns(history, turns()), profile, error: null });
    } catch (error) {
      state.patch({ error: asCityError(error) });
    }
  }

  async function submit(client_id: string, prompt: string): Promise<void> {
    while (!closing.signal.aborted && turns().some((turn) => turn.client_id === client_id)) {
      if (!connection.isLive()) await nextConnection();
      try {
        const { invocation_id, status } = await connection.ask('secondme.invoke', { prompt, client_id });
        // Events may have come before this answer: what they began is this turn.
        const begun = turns().find((turn) => turn.invocation_id === invocation_id);
        if (begun?.client_id === client_id) return;
        if (begun) remove([begun]);
        return change(client_id, begun ? { ...begun, client_id, prompt } : { invocation_id, status });
      } catch (cause) {
        const error = asCityError(cause);
        if (!error.retryable || error.code === 'rate_limited') {
          return change(client_id, { status: 'refused', error });
        }
        if (error.code !== 'offline') await waitFor(error.retryAfterMs ?? PAUSE_MS, closing.signal);
      }
    }
  }

  const nextConnection = () =>
    new Promise<void>((resolve) => {
      const off = connection.onConnect('/rooms', () => (queueMicrotask(() => off()), resolve()));
      closing.signal.addEventListener('abort', () => resolve());
    });

  /** Questions reach the city in the order in which they were asked. */
  const enqueue = (client_id: string, prompt: string) =>
    void (submitting = submitting.then(() => submit(client_id, prompt)));

  function onStatus(invocation_id: string, status: InvocationStatus): void {
    const turn = turnOf(invocation_id);
    if (!isUnderWay(turn)) return;
    change(turn.client_id, { status });
    if (turn.prompt === null && status !== 'running' && status !== 'queued') void refresh();
  }

  /** Index 0 starts the text anew; after a piece that is missing only the whole reply helps. */
  function onDelta(invocation_id: string, index: number, text: string): void {
    const turn = turnOf(invocation_id);
    if (!isUnderWay(turn) || (index !== 0 && index !== expected.get(invocation_id))) return;
    expected.set(invocation_id, index + 1);
    change(turn.client_id, { status: 'running', reply: index === 0 ? text : turn.reply + text });
  }

  const isWanted = () => watched || turns().length > 0;
  const offs = [
    connection.onConnect('/rooms', () => isWanted() && void refresh()),
    connection.on('secondme.status', ({ invocation_id, status }) => {
      if (isWanted()) onStatus(invocation_id, status);
    }),
    connection.on('secondme.delta', ({ invocation_id, index, text }) => {
      if (isWanted()) onDelta(invocation_id, index, text);
    }),
    connection.on('secondme.reply', (result) => {
      expected.delete(result.invocation_id);
      if (!isWanted()) return;
      const turn = turnOf(result.invocation_id);
      finish(turn, result);
      // The question of another device is in the history only; that of this one may be waiting for its answer.
      const isOurs = turn.prompt !== null || turns().some(({ status }) => status === 'sending');
      if (isOurs) readProfile().catch(() => {});
      else void refresh();
    }),
  ];

  const store = whileWatched(state, () => {
    watched = true;
    void refresh();
    return () => (watched = false);
  });
  const secondMe: SecondMe = {
    getSnapshot: store.getSnapshot,
    subscribe: store.subscribe,
    ask(prompt) {
      const turn = newTurn({ prompt, status: 'sending' });
      state.patch({ turns: [...turns(), turn] });
      enqueue(turn.client_id, prompt);
      return turn.client_id;
    },
    retry(clientId) {
      const turn = turns().find(({ client_id, status }) => client_id === clientId && status === 'refused');
      if (!turn || turn.prompt === null) return;
      change(clientId, { status: 'sending', error: null });
      enqueue(clientId, turn.prompt);
    },
    discard: (clientId) =>
      remove(turns().filter(({ client_id, status }) => client_id === clientId && status === 'refused')),
    async cancel(id) {
      const turn = turns().find(({ client_id, invocation_id }) => client_id === id || invocation_id === id);
      const invocation_id = turn?.invocation_id;
      if (!invocation_id) throw new CityError('not_found', 'no such turn', { retryable: false });
      const { status } = await connection.ask('secondme.cancel', { invocation_id });
      const now = turns().find((one) => one.invocation_id === invocation_id);
      if (now && isUnderWay(now)) change(now.client_id, { status });
    },
    refresh,
    async clear() {
      await rest.clearHistory();
      state.patch({ history: [], turns: turns().filter(isUnderWay) });
      await readProfile();
    },
  };
  return {
    secondMe,
    close(): void {
      closing.abort();
      for (const off of offs) off();
    },
  };
}
