/** The inspector: how far every node has delivered the log of its rooms, next to what is stored. */
import { z } from 'zod';
import { RoomId, RoomRef, Seq, Timestamp } from './primitives.ts';

export const InspectRooms = z.strictObject({
  room_id: RoomRef.optional().describe('a room whose head is wanted though no node may have it open'),
});

/** How far a node has delivered a room to its own subscribers. */
const RoomCursor = z.object({
  room_id: RoomId,
  subscribers: z.int().describe('connections of this node that have the room open'),
  seq: Seq.describe('the newest message delivered'),
  change_seq: Seq.describe('the change delivered last'),
});
export type RoomCursor = z.infer<typeof RoomCursor>;

export const NodeReport = z
  .object({
    node: z.string().max(300).describe('host and port'),
    at: Timestamp.describe("when it was made, by the node's clock"),
    rooms: z.array(RoomCursor).max(100).describe('those with the most subscribers'),
  })
  .meta({ id: 'NodeReport' });
export type NodeReport = z.infer<typeof NodeReport>;

export const InspectedRooms = z.object({
  node: z.string().describe('who answers'),
  at: Timestamp.describe("the database's clock, by which messages are dated"),
  heads: z
    .array(z.object({ room_id: RoomId, seq: Seq, change_seq: Seq }))
    .describe('what is stored of every room that is named here'),
  nodes: z.array(NodeReport).describe('every node that was heard of in the last 5 s'),
});
export type InspectedRooms = z.infer<typeof InspectedRooms>;
