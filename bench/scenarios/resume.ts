/** Scenario 6, resume: everybody comes back at once, and has missed something. */
import { startGenerator } from '../load/generator.ts';
import type { ResumeLoad, ResumeOptions } from '../load/resume.ts';
import type { RoomsLoad, RoomsOptions } from '../load/rooms.ts';
import type { RunContext, RunResult, Scenario, Trial } from '../scenario.ts';
import type { Statement } from '../statements.ts';

const RESUME = new URL('../load/resume.ts', import.meta.url);
const SENDERS = new URL('../load/rooms.ts', import.meta.url);
/** The tables that hold messages, of the city and of the tutorial. */
const HISTORY = /\b(city_room_messages|messages)\b/;

interface Plan {
  clients: number;
  rooms: number;
  missed: number;
}

async function run({ server, services }: RunContext, { clients: count, rooms: roomCount, missed }: Plan) {
  const cluster = await services.start(server);
  try {
    const { url } = cluster.nodes[0]!;
    const rooms = await cluster.createRooms(roomCount);
    const clients: ResumeOptions['clients'] = [];
    for (let n = 0; n < count; n++) {
      const userId = `u_bench_${n}`;
      const token = await cluster.token(userId, { name: `Bench ${n}` });
      clients.push({ url, token, userId, room: n % roomCount });
    }
    const options: ResumeOptions = {
      rooms,
      clients,
      offset: server === 'tutorial' ? 'handshake' : 'join',
    };
    const crowd = await startGenerator<ResumeLoad>(RESUME, options);
    await crowd.call('visit', { atOnce: 100 });

    const sender = async (room: number) => ({
      url,
      token: await cluster.token(`u_sender_${room}`),
      userId: `u_sender_${room}`,
      room,
      reads: false,
      sender: 0,
    });
    const senders = await startGenerator<RoomsLoad>(SENDERS, {
      rooms: rooms.map((id) => ({ id, senders: 1 })),
      clients: await Promise.all(rooms.map((_, room) => sender(room))),
      numbered: false,
      bodyLength: 100,
    } satisfies RoomsOptions);
    await senders.call('connect', {});
    await senders.call('sendEach', { count: missed });
    const problems = await senders.call('verify', { sent: [] });
    await senders.stop();

    let resumed = { seconds: NaN, p50: NaN, problems: [] as string[] };
    const before = cluster.cpu();
    const statements = await cluster.countStatements(async () => {
      resumed = await crowd.call('resume', { missed });
    });
    const after = cluster.cpu();
    await crowd.stop();
    const calls = (of: Statement[]) => of.reduce((sum, statement) => sum + statement.calls, 0);
    const reads = statements.filter(({ query }) => /^\s*(select|with)\b/i.test(query));
    const history = reads.filter(({ query }) => HISTORY.test(query));
    return {
      figures: {
        seconds: resumed.seconds,
        client_p50: resumed.p50,
        history_reads: calls(history),
        history_rows: history.reduce((sum, { rows }) => sum + rows, 0),
        reads: calls(reads),
        statements: calls(statements),
        node_cpu: after.nodes - before.nodes,
        postgres_cpu: after.postgres - before.postgres,
      },
      problems: [...problems, ...resumed.problems, ...cluster.accidents()],
    } satisfies RunResult;
  } finally {
    await cluster.stop();
  }
}

const trial = (name: string, about: string, plan: Plan, goals: Trial['goals']): Trial => ({
  name,
  about,
  servers: ['tutorial', 'city'],
  figures: {
    seconds: 's until all have everything',
    client_p50: 'ms until the median client has',
    history_reads: 'statements',
    history_rows: 'rows',
    reads: 'statements',
    statements: 'statements',
    node_cpu: 's of CPU',
    postgres_cpu: 's of CPU',
  },
  goals: [{ figure: 'seconds', atMost: 5 }, ...goals],
  run: (context) =>
    run(context, context.size === 'full' ? plan : { clients: 20, rooms: plan.rooms / 5, missed: 10 }),
});

export const resume: Scenario = {
  name: 'resume',
  about: 'clients that reconnect at once, each having missed 100 messages; one node',
  trials: [
    trial('10-rooms', '1,000 clients in 10 rooms', { clients: 1_000, rooms: 10, missed: 100 }, [
      { figure: 'history_reads', atMost: 100 },
    ]),
    trial('50-rooms', '1,000 clients in 50 rooms', { clients: 1_000, rooms: 50, missed: 100 }, [
      { figure: 'history_reads', atMost: 500 },
    ]),
    trial(
      '10-rooms-twice-the-clients',
      '2,000 clients in 10 rooms',
      { clients: 2_000, rooms: 10, missed: 100 },
      [],
    ),
  ],
};
