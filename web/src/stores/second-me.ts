/** The conversation with the reader's Second Me: history, and the turns under way with their growing replies. */
import { api } from '../api.ts';
import { asCityError, type CityError } from '../errors.ts';
import { askRooms } from '../sockets.ts';
import { createStore } from '../store.ts';
import { randomKey } from '../text.ts';
import type { ChatMessage, Invocation, InvocationStatus, Profile } from '../types.ts';

export interface Turn {
  readonly key: string;
  readonly invocationId: string | null;
  /** Null when the question was asked on another device and only its reply is known here. */
  readonly prompt: string | null;
  readonly status: 'sending' | 'refused' | InvocationStatus;
  readonly reply: string;
  readonly fallback: boolean;
  readonly tokens: number | null;
  readonly latencyMs: number | null;
  readonly error: CityError | null;
}

interface SecondMe {
  readonly history: readonly ChatMessage[] | null;
  readonly profile: Profile | null;
  readonly error: CityError | null;
  readonly turns: readonly Turn[];
}

const EMPTY: SecondMe = { history: null, profile: null, error: null, turns: [] };

export const secondMeStore = createStore<SecondMe>(EMPTY);
const set = (part: Partial<SecondMe>) => secondMeStore.set((state) => ({ ...state, ...part }));

export const resetSecondMe = (): void => secondMeStore.set(() => EMPTY);

export const isUnderWay = ({ status }: Turn): boolean =>
  status === 'sending' || status === 'queued' || status === 'running';

const newTurn = (part: Partial<Turn>): Turn => ({
  key: randomKey(),
  invocationId: null,
  prompt: null,
  status: 'queued',
  reply: '',
  fallback: false,
  tokens: null,
  latencyMs: null,
  error: null,
  ...part,
});

const change = (key: string, part: Partial<Turn>) =>
  secondMeStore.set((state) => ({
    ...state,
    turns: state.turns.map((turn) => (turn.key === key ? { ...turn, ...part } : turn)),
  }));

/** The turn of an invocation; one that was asked elsewhere gets a turn of its own. */
function turnOf(invocationId: string): Turn {
  const known = secondMeStore.get().turns.find((turn) => turn.invocationId === invocationId);
  if (known) return known;
  const turn = newTurn({ invocationId });
  secondMeStore.set((state) => ({ ...state, turns: [...state.turns, turn] }));
  return turn;
}

/** Takes the questions that still have a turn of their own off the end of the history. */
function withoutPending(history: readonly ChatMessage[], turns: readonly Turn[]): readonly ChatMessage[] {
  const rest = [...history];
  for (const turn of [...turns].reverse()) {
    const last = rest.at(-1);
    if (turn.prompt !== null && last?.role === 'user' && last.content === turn.prompt) rest.pop();
  }
  return rest;
}

const finish = (turn: Turn, result: Omit<Invocation, 'invocation_id' | 'created_at'>) =>
  change(turn.key, {
    status: result.status,
    reply: result.reply ?? turn.reply,
    fallback: result.fallback,
    tokens: result.tokens_used,
    latencyMs: result.latency_ms,
  });

/** Loads the history, and asks what became of turns that were under way when the connection broke. */
export async function refreshSecondMe(): Promise<void> {
  try {
    for (const turn of secondMeStore.get().turns) {
      if (!isUnderWay(turn) || !turn.invocationId) continue;
      finish(turn, await api.invocation(turn.invocationId));
    }
    const [history, profile] = await Promise.all([api.history(), api.profile()]);
    secondMeStore.set((state) => {
      const turns = state.turns.filter((turn) => isUnderWay(turn) || turn.status === 'refused');
      return { history: withoutPending(history, turns.filter(isUnderWay)), profile, error: null, turns };
    });
  } catch (error) {
    set({ error: asCityError(error) });
  }
}

/** Puts a question; repeated with the same key when the answer to the call is lost. */
export async function invoke(prompt: string): Promise<void> {
  const turn = newTurn({ prompt, status: 'sending' });
  set({ turns: [...secondMeStore.get().turns, turn] });
  await submit(turn.key, prompt);
}

export async function invokeAgain(turn: Turn): Promise<void> {
  if (turn.prompt === null) return;
  change(turn.key, { status: 'sending', error: null });
  await submit(turn.key, turn.prompt);
}

async function submit(key: string, prompt: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const accepted = await askRooms('secondme.invoke', { prompt, client_id: key });
      // Events may have come before this acknowledgement: what they began is this turn.
      const begun = secondMeStore
        .get()
        .turns.find((turn) => turn.invocationId === accepted.invocation_id && turn.key !== key);
      if (begun) set({ turns: secondMeStore.get().turns.filter((turn) => turn !== begun) });
      const { invocation_id: invocationId, status } = accepted;
      change(key, begun ? { ...begun, key, prompt } : { invocationId, status });
      return;
    } catch (error) {
      const failure = asCityError(error);
      const lost = failure.code === 'timeout' || failure.code === 'offline';
      if (!lost || attempt >= 4) {
        change(key, { status: 'refused', error: failure });
        return;
      }
      await new Promise((wake) => setTimeout(wake, 1_500));
    }
  }
}

export function cancel(turn: Turn): void {
  if (!turn.invocationId) return;
  askRooms('secondme.cancel', { invocation_id: turn.invocationId })
    .then(({ status }) => change(turn.key, { status }))
    .catch((error: unknown) => change(turn.key, { error: asCityError(error) }));
}

export async function clearHistory(): Promise<void> {
  await api.clearHistory();
  secondMeStore.set((state) => ({ ...state, history: [], turns: state.turns.filter(isUnderWay) }));
  const profile = await api.profile().catch(() => null);
  if (profile) set({ profile });
}

export function onStatus(invocationId: string, status: InvocationStatus): void {
  const turn = turnOf(invocationId);
  if (!isUnderWay(turn)) return;
  change(turn.key, { status });
  if (turn.prompt === null && (status === 'cancelled' || status === 'failed')) void refreshSecondMe();
}

export function onDelta(invocationId: string, index: number, text: string): void {
  const turn = turnOf(invocationId);
  if (!isUnderWay(turn)) return;
  change(turn.key, { status: 'running', reply: index === 0 ? text : turn.reply + text });
}

export function onReply(result: Omit<Invocation, 'created_at'>): void {
  const turn = turnOf(result.invocation_id);
  finish(turn, result);
  if (turn.prompt === null && turn.status !== 'sending') void refreshSecondMe();
  else
    void api
      .profile()
      .then((profile) => set({ profile }))
      .catch(() => undefined);
}
