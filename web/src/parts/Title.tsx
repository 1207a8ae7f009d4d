/** The heading of a place: it takes the focus on arrival, and names the browser tab, with what is unread. */
import { useEffect, type ReactNode } from 'react';
import { useRooms } from '../../../src/client/react.ts';

export function Title({ text, children }: { text: string; children?: ReactNode }) {
  const { rooms } = useRooms();
  const unread = rooms?.reduce((sum, room) => sum + (room.joined ? room.unread : 0), 0) ?? 0;

  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${text} · DAARION City`;
  }, [text, unread]);

  return (
    <h1 className="title" tabIndex={-1} dir="auto">
      {children ?? text}
    </h1>
  );
}
