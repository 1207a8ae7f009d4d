/** What users are called and which roles they have: as their tokens last said, on whichever node. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
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
