/** The room that is open, for everything drawn inside it. */
import { createContext, useContext } from 'react';
import type { Room, Rooms } from '../../../src/client/index.ts';

export interface Open {
  readonly room: Room;
  readonly handle: ReturnType<Rooms['peek']>;
}

export const RoomContext = createContext<Open | null>(null);

export function useOpenRoom(): Open {
  const open = useContext(RoomContext);
  if (!open) throw new Error('There is no open room around this.');
  return open;
}
