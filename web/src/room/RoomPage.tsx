/** A room: its plate, its log, who is inside, and the place to write. */
import { useMemo, useState } from 'react';
import { useCity, useRoom, useRooms } from '../../../src/client/react.ts';
import { Composer } from './Composer.tsx';
import { RoomContext } from './context.ts';
import { Inside } from './Inside.tsx';
import { MessageList } from './MessageList.tsx';
import { RoomHead } from './RoomHead.tsx';
import { Threshold } from './Threshold.tsx';
import { Typing } from './Typing.tsx';

function OpenRoom({ roomRef, again }: { roomRef: string; again(): void }) {
  const city = useCity();
  const state = useRoom(roomRef);
  /** Whether the mark of what was new has served: the reader has answered. */
  const [answered, setAnswered] = useState(false);
  const { room } = state;
  // Others may rename a room and change its pace: the list of rooms, which is read again now and then, knows.
  const listed = useRooms().rooms?.find(({ id }) => id === room?.id) ?? room;
  const { name = '', description = null, slow_mode_s = 0 } = listed ?? {};
  const open = useMemo(
    () => room && { room: { ...room, name, description, slow_mode_s }, handle: city.rooms.peek(room.id) },
    [city, room, name, description, slow_mode_s],
  );
  if (!open || !room || state.closed || state.status === 'error') {
    return <Threshold state={state} name={name || roomRef} again={again} />;
  }
  return (
    <RoomContext value={open}>
      <div className="room">
        <RoomHead state={state} />
        <div className="room-body">
          <MessageList state={state} newFrom={answered ? null : state.firstUnreadSeq} />
          <Inside state={state} />
        </div>
        <div className="room-foot">
          <Typing ids={state.typing} />
          <Composer key={room.id} messages={state.messages} onSent={() => setAnswered(true)} />
        </div>
      </div>
    </RoomContext>
  );
}

export function RoomPage({ roomRef }: { roomRef: string }) {
  const [attempt, setAttempt] = useState(0);
  return <OpenRoom key={attempt} roomRef={roomRef} again={() => setAttempt(attempt + 1)} />;
}
