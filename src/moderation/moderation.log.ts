/** The log of moderation: everything that moderators did, for as long as the city stands. */
import type { ListActs, ModerationAct } from '../contract/moderation.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import { findPlace, insertAct, listActs } from './moderation.repo.ts';
import type { NewAct } from './moderation.repo.ts';

export type ModerationLog = ReturnType<typeof createModerationLog>;

/** The refusal of a cursor that names nothing. */
export const noSuchPlace = () =>
  new AppError('invalid', 'There is nothing of that id to page from.', {
    errors: [{ path: 'before', message: 'no such entry' }],
  });

export function createModerationLog({ db, newId }: { db: Db; newId: NewId }) {
  return {
    /** Adds an entry; in the transaction of the act itself, where `trx` is one. */
    record: (trx: Db, act: Omit<NewAct, 'id'>): Promise<ModerationAct> =>
      insertAct(trx, { id: newId('mod_city'), ...act }),

    /** A page, newest first. @throws AppError invalid when `before` names no entry */
    async list({ limit, before, room_id }: ListActs): Promise<ModerationAct[]> {
      const place = before === undefined ? undefined : await findPlace(db, 'act', before);
      if (before !== undefined && place === undefined) throw noSuchPlace();
      return listActs(db, { limit, before: place, roomId: room_id });
    },
  };
}
