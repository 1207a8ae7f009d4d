/** What must hold after an episode, in terms of the contract: the ledger held against what the city stored. */
import type { Message } from '../../src/contract/messages.ts';
import type { Ledger, Seen, View } from './ledger.ts';
import { tokenOf } from './ledger.ts';

export const INVARIANTS = {
  I1: 'what was acknowledged is stored, as it was acknowledged',
  I2: 'a client_id is stored once',
  I3: 'seq is 1…n; no change number twice, none above the head',
  I4: 'a connection sees each change once, in steps of one',
  I5: 'what a client saw, joined together, is the history',
  I6: 'what was not acknowledged is stored once or never',
  I7: 'acknowledged numbers are the stored ones, and later sends have higher ones',
  I8: 'no process ended that was not ended, no unhandled rejection',
  I9: 'the first success within 5 s after the heal, nothing refused for good',
  I10: 'presence, feed and invocations are what the clients did',
  I11: 'in calm a change comes as news, through a Redis outage within 2 s',
} as const;

export type Invariant = keyof typeof INVARIANTS;

export interface Problem {
  invariant: Invariant;
  /** The offender by id, and what is wrong with it. */
  what: string;
}

/** A room as the city stored it, read over REST after everything has come to rest. */
export interface StoredRoom {
  id: string;
  last_seq: number;
  last_change_seq: number;
  /** All messages in their latest state, by change number. */
  messages: Message[];
}

/** Every breach of I1–I7 in what `ledger` says and `rooms` hold. */
export function checkLog(ledger: Ledger, rooms: StoredRoom[]): Problem[] {
  return [
    ...checkSends(ledger, rooms),
    ...rooms.flatMap(checkNumbers),
    ...rooms.flatMap((room) =>
      ledger.views.filter((view) => view.room === room.id).flatMap((view) => checkView(view, room)),
    ),
    ...checkOrder(ledger),
  ];
}

function checkSends({ sends, alterations }: Ledger, rooms: StoredRoom[]): Problem[] {
  const problems: Problem[] = [];
  const byId = new Map(rooms.flatMap(({ messages }) => messages).map((message) => [message.id, message]));
  const stored = new Map<string, number>();
  for (const message of byId.values()) {
    const key = message.client_id ?? tokenOf(message.body);
    stored.set(key, (stored.get(key) ?? 0) + 1);
  }
  const altered = new Map(alterations.map((alteration) => [alteration.message, alteration]));
  for (const { token, body, ack, abandoned } of sends) {
    const copies = stored.get(token) ?? 0;
    if (copies > 1)
      problems.push({
        invariant: ack || !abandoned ? 'I2' : 'I6',
        what: `${token} is stored ${copies} times`,
      });
    if (!ack) continue;
    const message = byId.get(ack.id);
    if (!message) {
      problems.push({ invariant: 'I1', what: `${token} (${ack.id}) was acknowledged and is not stored` });
      continue;
    }
    const change = altered.get(ack.id);
    const allowed = change?.ackedAt === undefined ? [body, change?.body] : [change.body];
    if (!allowed.includes(message.body)) {
      problems.push({
        invariant: 'I1',
        what: `${token} (${ack.id}) should say ${allowed.join(' or ')}, says ${message.body}`,
      });
    }
    if (message.seq !== ack.seq) {
      problems.push({
        invariant: 'I7',
        what: `${token} was acknowledged as ${ack.seq} and is stored as ${message.seq}`,
      });
    }
  }
  return problems;
}

function checkNumbers({ id, last_seq, last_change_seq, messages }: StoredRoom): Problem[] {
  const problems: Problem[] = [];
  const seqs = messages.map(({ seq }) => seq).sort((a, b) => a - b);
  const wrong = seqs.findIndex((seq, index) => seq !== index + 1);
  if (wrong !== -1) problems.push({ invariant: 'I3', what: `${id}: seq ${wrong + 1} is ${seqs[wrong]}` });
  if (seqs.length !== last_seq)
    problems.push({ invariant: 'I3', what: `${id}: last_seq ${last_seq}, ${seqs.length} messages` });
  const changes = messages.map(({ change_seq }) => change_seq);
  const twice = changes.find((change, index) => changes.indexOf(change) !== index);
  if (twice !== undefined) problems.push({ invariant: 'I3', what: `${id}: change ${twice} stands twice` });
  if (Math.max(0, ...changes) !== last_change_seq) {
    problems.push({
      invariant: 'I3',
      what: `${id}: last_change_seq ${last_change_seq}, highest ${Math.max(0, ...changes)}`,
    });
  }
  return problems;
}

function checkView({ reader, room, seen, sessions }: View, stored: StoredRoom): Problem[] {
  const who = `${reader} in ${room}`;
  const problems: Problem[] = [];
  const latest = new Set(stored.messages.map(({ change_seq }) => change_seq));
  /** Whether the changes from `from` to `to`, both excluded, were all replaced by later ones. */
  const replaced = (from: number, to: number) => {
    for (let number = from + 1; number < to; number++) if (latest.has(number)) return false;
    return true;
  };

  for (const { head, live } of sessions) {
    let last = head;
    for (const { change_seq } of live) {
      if (change_seq <= last || !replaced(last, change_seq)) {
        problems.push({ invariant: 'I4', what: `${who}: change ${change_seq} came after ${last}` });
      }
      last = Math.max(last, change_seq);
    }
  }

  const [first] = sessions;
  if (!first) return [...problems, { invariant: 'I5', what: `${who}: could never open the room` }];
  const start = first.head;
  const saw: Seen[] = sessions.flatMap(({ snapshot, live }, index) => [
    ...(index === 0 ? [] : snapshot),
    ...live,
  ]);
  let last = start;
  const state = new Map<string, Seen>();
  for (const each of saw) {
    if (each.change_seq <= last) {
      problems.push({
        invariant: 'I5',
        what: `${who}: change ${each.change_seq} (${each.id}) again after ${last}`,
      });
    }
    last = Math.max(last, each.change_seq);
    state.set(each.id, each);
  }
  for (const message of stored.messages) {
    if (message.change_seq <= start) continue;
    const mine = state.get(message.id);
    if (!mine)
      problems.push({
        invariant: 'I5',
        what: `${who}: never saw ${message.id} (change ${message.change_seq})`,
      });
    else if (mine.change_seq !== message.change_seq || mine.body !== message.body) {
      problems.push({
        invariant: 'I5',
        what: `${who}: holds ${message.id} as of ${mine.change_seq}, not ${message.change_seq}`,
      });
    }
  }
  if (seen > stored.last_change_seq) {
    problems.push({
      invariant: 'I1',
      what: `${who}: saw change ${seen}, the room ends at ${stored.last_change_seq}`,
    });
  }
  return problems;
}

/** ack(a) before send(b) ⇒ seq(a) < seq(b). */
function checkOrder({ sends }: Ledger): Problem[] {
  const problems: Problem[] = [];
  for (const room of new Set(sends.map((sent) => sent.room))) {
    const acked = sends.filter((sent) => sent.room === room && sent.ack);
    const bySend = [...acked].sort((a, b) => a.sentAt - b.sentAt);
    const byAck = [...acked].sort((a, b) => a.ackedAt! - b.ackedAt!);
    let next = 0;
    let highest = 0;
    for (const { token, sentAt, ack } of bySend) {
      while (next < byAck.length && byAck[next]!.ackedAt! < sentAt)
        highest = Math.max(highest, byAck[next++]!.ack!.seq);
      if (ack!.seq <= highest) {
        problems.push({
          invariant: 'I7',
          what: `${token} is ${ack!.seq}, though ${highest} was acknowledged before it was sent`,
        });
      }
    }
  }
  return problems;
}

/** A user's conversation as stored. */
export type History = { role: string; content: string }[];

/** Every breach of I10 in conversations: each accepted prompt and one reply to it recorded, and no other one told. */
export function checkReplies({ asks }: Ledger, histories: Map<string, History>): Problem[] {
  const breach = (what: string): Problem => ({ invariant: 'I10', what });
  return [...new Set(asks.map(({ user }) => user))].flatMap((user) => {
    const mine = asks.filter((ask) => ask.user === user);
    const history = histories.get(user) ?? [];
    const said = (role: string) => history.filter((turn) => turn.role === role).map(({ content }) => content);
    const replies = said('assistant');
    const problems = mine.flatMap(({ id, key, prompt, replies: told }) => {
      if (id === undefined) return [breach(`${key}: the prompt was never accepted`)];
      const prompts = said('user').filter((content) => content === prompt).length;
      const strange = told.find((reply) => !replies.includes(reply));
      return [
        ...(prompts === 1 ? [] : [breach(`${id}: its prompt is stored ${prompts} times`)]),
        ...(told.length < 2 ? [] : [breach(`${id}: its user was told ${told.length} replies`)]),
        ...(strange === undefined
          ? []
          : [breach(`${id}: its user was told a reply that is not stored: ${strange}`)]),
      ];
    });
    const accepted = mine.filter(({ id }) => id !== undefined).length;
    if (replies.length !== accepted)
      problems.push(breach(`${user}: ${accepted} prompts, ${replies.length} recorded replies`));
    return problems;
  });
}
