/** How a user stands to a room, a message and another user. */
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';

/** What is acted on; null where a call names none. */
export interface Target {
  roomIds: string[];
  messageId: string | null;
}

export interface Standing {
  banned: boolean;
  muted: boolean;
  /** Null when the room does not exist. */
  creator: boolean | null;
  /** Null when the room has no such message. */
  author: boolean | null;
}

/** How `userId` stands to the rooms (to any of them, where there are several) and the message in the first one. */
export async function findStanding(
  db: Db,
  userId: string,
  { roomIds, messageId }: Target,
): Promise<Standing> {
  const [standing] = await rows<Standing>(
    db,
    `with mine as materialized (
       select kind from city_restrictions_in_force where user_id = :userId and room_id = any(:roomIds)
     )
     select exists (select from mine where kind = 'ban') banned,
            exists (select from mine where kind = 'mute') muted,
            (select r.created_by is not distinct from :userId
             from city_rooms r join city_room_heads h on h.room_id = r.id where r.id = :first) creator,
            (select m.sender_id = :userId from city_room_messages m
             where m.id = :messageId and m.room_id = :first) author`,
    { userId, roomIds: roomIds as never, first: roomIds[0] ?? null, messageId },
  );
  return standing!;
}
