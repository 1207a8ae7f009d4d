/** What users are called and which roles they have: as their tokens last said, on whichever node. */
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Caller } from '../../src/auth/caller.ts';
import type { Role } from '../../src/contract/auth.ts';
import { createDb, rows } from '../../src/platform/db.ts';
import type { Db } from '../../src/platform/db.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createUsers } from '../../src/users/users.service.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let db: Db;
beforeEach(async () => {
  database = await createDatabase();
  db = createDb(database.url, createLogger('silent'));
});
afterEach(async () => {
  await db.destroy();
  await database.drop();
});

const log = createLogger('silent');
const caller = (name?: string, roles: Role[] = ['citizen'], id = 'u_olena'): Caller => ({
  id,
  name,
  roles,
  issuedAt: 0,
  expiresAt: 0,
});

interface Kept {
  name: string | null;
  roles: Role[];
  /** Another one after every write of the row. */
  version: string;
}
const keptOf = async (id: string): Promise<Kept | undefined> =>
  (await rows<Kept>(db, 'select name, roles, xmin::text as version from city_users where id = ?', [id]))[0];

/** Resolves once `users` has written all that it remembered so far: it writes in the order of what it saw. */
let others = 0;
async function written(users: ReturnType<typeof createUsers>): Promise<void> {
  const id = `u_other_${++others}`;
  users.remember(caller('Other', ['citizen'], id));
  await until(() => keptOf(id), 'what was remembered is written');
}

/** The database, with writes that wait until the test says what becomes of each, in turn. */
function withHeldWrites() {
  const held: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const raw = async (sql: string, bindings: never) => {
    if (sql.startsWith('insert into city_users')) {
      await new Promise<void>((resolve, reject) => held.push({ resolve, reject }));
    }
    return db.raw(sql, bindings);
  };
  return { held, db: { raw } as unknown as Db };
}

describe('a token without a name', () => {
  it('leaves the name that is on its way', async () => {
    const users = createUsers({ db, log });
    users.remember(caller('Olena'));
    users.remember(caller());
    users.remember(caller(undefined, ['citizen', 'moderator']));
    expect((await users.namesOf(['u_olena'])).get('u_olena')).toBe('Olena');
    await written(users);
    expect(await keptOf('u_olena')).toMatchObject({ name: 'Olena', roles: ['citizen', 'moderator'] });
    expect((await users.namesOf(['u_olena'])).get('u_olena')).toBe('Olena');
  });

  it('leaves it also where its write fails while the other waits', async () => {
    const { held, db: slow } = withHeldWrites();
    const users = createUsers({ db: slow, log });
    users.remember(caller('Olena'));
    await until(() => held.length === 1, 'the name is being written');
    users.remember(caller(undefined, ['moderator']));
    held[0]!.reject(new Error('away'));
    await until(() => held.length === 2, 'the roles are being written');
    expect(await users.nameOf(caller())).toBe('Olena');
    expect((await users.namesOf(['u_olena'])).get('u_olena')).toBe('Olena');
    held[1]!.resolve();
    await until(() => keptOf('u_olena'), 'the second write');
    expect(await keptOf('u_olena')).toMatchObject({ name: 'Olena', roles: ['moderator'] });
  });
});

it('writes what failed to be written with the next token that says it', async () => {
  const { held, db: slow } = withHeldWrites();
  const users = createUsers({ db: slow, log });
  users.remember(caller('Olena'));
  await until(() => held.length === 1, 'the name is being written');
  held[0]!.reject(new Error('away'));
  const again = () => {
    users.remember(caller('Olena'));
    return held.length === 2;
  };
  await until(again, 'the next try', 2_000);
  held[1]!.resolve();
  await until(() => keptOf('u_olena'), 'the next try is written');
  expect(await keptOf('u_olena')).toMatchObject({ name: 'Olena' });
});

describe('a few seconds later', () => {
  const KEPT_MS = 5_000;
  const real = performance.now.bind(performance);
  let later = 0;
  beforeEach(() => {
    later = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => real() + later);
  });
  afterEach(() => void jest.restoreAllMocks());

  /** Two nodes, of which the second saw the newer token. */
  async function replaced() {
    const [one, two] = [createUsers({ db, log }), createUsers({ db, log })];
    one.remember(caller('First', ['moderator']));
    await written(one);
    two.remember(caller('Second', ['citizen']));
    await written(two);
    return [one, two] as const;
  }

  it('a token seen here again counts over the one that another node saw', async () => {
    const nodes = await replaced();
    later += KEPT_MS;
    nodes[0].remember(caller('First', ['moderator']));
    await written(nodes[0]);
    for (const node of nodes) {
      expect((await node.namesOf(['u_olena'])).get('u_olena')).toBe('First');
      expect(await node.rolesOf('u_olena')).toEqual(['moderator']);
    }
  });

  it('a message without a name carries the name that another node saw', async () => {
    const [one] = await replaced();
    later += KEPT_MS;
    expect(await one.nameOf(caller())).toBe('Second');
  });

  it('no row is written where nothing changed', async () => {
    const users = createUsers({ db, log });
    users.remember(caller('Olena'));
    await written(users);
    const before = await keptOf('u_olena');
    for (const token of [caller('Olena'), caller()]) {
      later += KEPT_MS;
      users.remember(token);
      await written(users);
      expect(await keptOf('u_olena')).toEqual(before);
    }
  });

  it('people keep their names while the database is away', async () => {
    let away = false;
    const raw = (sql: string, bindings: never) =>
      away
        ? Promise.reject(Object.assign(new Error('away'), { code: 'ECONNREFUSED' }))
        : db.raw(sql, bindings);
    const users = createUsers({ db: { raw } as unknown as Db, log });
    users.remember(caller('Olena'));
    await written(users);
    away = true;
    later += KEPT_MS;
    await expect(users.nameOf(caller())).rejects.toThrow('away');
    const named = [{ user_id: 'u_olena', username: 'Olena' }];
    expect(await users.named([{ user_id: 'u_olena' }])).toEqual(named);

    users.remember(caller('Olena'));
    const failed = () =>
      users.rolesOf('u_olena').then(
        () => false,
        () => true,
      );
    await until(failed, 'the token is not written');
    expect(await users.named([{ user_id: 'u_olena' }])).toEqual(named);
  });
});
