/** A load of Second Me: users who ask and wait for the reply, and a direct call to Agents Core to compare with. */
import { Agent, request } from 'node:http';
import { createHistogram } from '../measure/histogram.ts';
import { nowUs } from './clock.ts';
import { openAll } from './crowd.ts';
import type { Wire } from './wire.ts';

export interface SecondMeOptions {
  users: { id: string; url: string; token: string }[];
  agentsUrl: string;
  agentId: string;
}

export type SecondMeLoad = ReturnType<typeof create>;

export interface SecondMeWindow {
  seconds: number;
  finished: number;
  /** µs from the question to its acknowledgement and to its reply. */
  ack: number[];
  reply: number[];
}

interface User {
  wire: Wire;
  asked: number;
  /** Called with the first delta of the invocation under way, and with its reply. */
  onDelta: (() => void) | undefined;
  onReply: ((frame: Buffer, at: number) => void) | undefined;
}

/** Where the names of Second Me's events differ: `["secondme.` stands before. */
const NAME_AT = 11;
const [DELTA, REPLY] = [0x64, 0x72];
const OK = Buffer.from('"ok":true');
const SUCCEEDED = Buffer.from('"status":"succeeded"');
const GENUINE = Buffer.from('"fallback":false');
const REPLY_MS = 20_000;

export function create({ users: given, agentsUrl, agentId }: SecondMeOptions) {
  const users: User[] = [];
  const problems: string[] = [];
  const agent = new Agent({ keepAlive: true });

  /** Asks once and resolves with when what came, µs since the question. */
  const ask = (user: User, id: string) =>
    new Promise<{ ackUs: number; deltaUs: number; replyUs: number }>((resolve, reject) => {
      const n = ++user.asked;
      const began = nowUs();
      let [ackUs, deltaUs] = [NaN, NaN];
      const deadline = setTimeout(() => reject(new Error(`no reply in ${REPLY_MS} ms`)), REPLY_MS);
      user.onDelta = () => {
        deltaUs ||= nowUs() - began;
      };
      user.onReply = (frame, at) => {
        clearTimeout(deadline);
        user.onReply = undefined;
        if (!frame.includes(SUCCEEDED, at) || !frame.includes(GENUINE, at))
          problems.push(`not a reply of the agent: ${String(frame).slice(0, 300)}`);
        resolve({ ackUs, deltaUs, replyUs: nowUs() - began });
      };
      const payload = `{"prompt":"What do you think of number ${n}?","client_id":"${id}-${n}"}`;
      user.wire.request('/rooms', 'secondme.invoke', payload, (frame, at) => {
        ackUs = nowUs() - began;
        if (frame.indexOf(OK, at) === at + 2) return;
        clearTimeout(deadline);
        reject(new Error(`refused: ${String(frame).slice(0, 300)}`));
      });
    });

  /** Calls Agents Core itself; µs until the first event was there. */
  const askDirectly = () =>
    new Promise<number>((resolve, reject) => {
      const began = nowUs();
      const body = JSON.stringify({
        input: 'What do you think?',
        context: { user_id: 'u_bench', kind: 'secondme', messages: [] },
      });
      const headers = {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        'content-length': body.length,
      };
      const call = request(`${agentsUrl}/agents/${agentId}/invoke`, { method: 'POST', agent, headers });
      let first = NaN;
      call.on('error', reject);
      call.on('response', (response) => {
        response.on('data', () => (first ||= nowUs() - began));
        response.on('end', () => resolve(first));
      });
      call.end(body);
    });

  return {
    async connect({ atOnce }: { atOnce: number }): Promise<void> {
      await openAll(given, atOnce, async ({ id, url, token }, open) => {
        const user: User = { wire: undefined as never, asked: 0, onDelta: undefined, onReply: undefined };
        user.wire = await open({
          url,
          namespaces: ['/rooms'],
          auth: `{"token":"${token}"}`,
          onEvent: (frame, at) => {
            if (frame[at + NAME_AT] === DELTA) user.onDelta?.();
            else if (frame[at + NAME_AT] !== REPLY) return;
            else if (user.onReply) user.onReply(frame, at);
            else problems.push(`${id} got a reply too many`);
          },
          onLost: (reason) => problems.push(`${id} lost its connection: ${reason}`),
        });
        users.push(user);
      });
    },

    /** So many questions one after the other, each with a direct call before it; µs to the first delta of each. */
    async inTurn({ count }: { count: number }): Promise<{ direct: number[]; city: number[] }> {
      const direct: number[] = [];
      const city: number[] = [];
      for (let n = 0; n < count; n++) {
        direct.push(await askDirectly());
        const user = n % users.length;
        city.push((await ask(users[user]!, given[user]!.id)).deltaUs);
      }
      return { direct, city };
    },

    /** Everybody asks again as soon as the reply is there, for so long; resolves when the last reply is. */
    async closedLoop({ ms }: { ms: number }): Promise<SecondMeWindow> {
      const [ack, reply] = [createHistogram(), createHistogram()];
      const began = nowUs();
      const end = began + ms * 1_000;
      let finished = 0;
      await Promise.all(
        users.map(async (user, i) => {
          while (nowUs() < end) {
            try {
              const { ackUs, replyUs } = await ask(user, given[i]!.id);
              ack.record(ackUs);
              reply.record(replyUs);
              finished++;
            } catch (error) {
              problems.push(`${given[i]!.id}: ${String(error)}`);
              return;
            }
          }
        }),
      );
      return { seconds: (nowUs() - began) / 1e6, finished, ack: ack.counts(), reply: reply.counts() };
    },

    /** Questions asked so far, and what went wrong. */
    async verify(): Promise<{ asked: number; problems: string[] }> {
      return { asked: users.reduce((sum, { asked }) => sum + asked, 0), problems: problems.slice(0, 5) };
    },
  };
}
