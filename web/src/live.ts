/** Connects the sockets to the stores for as long as somebody is signed in. */
import { startHeartbeat } from './heartbeat.ts';
import { askRooms, closeSockets, openSockets, reconnectNow } from './sockets.ts';
import {
  cityStore,
  learnMembers,
  onFeedEvents,
  onFeedRemoved,
  refreshCity,
  refreshRooms,
  resetCity,
} from './stores/city.ts';
import { onDelivered, pumpOutbox, resetOutbox } from './stores/outbox.ts';
import { seeCount, seeUsers, setMine, watchRoom } from './stores/presence.ts';
import {
  joinOpenRoom,
  onArrival,
  onClosed,
  onConnectionLost,
  onRoomCount,
  onRoomMessage,
  onTyping,
  openRoomId,
} from './stores/room.ts';
import { onDelta, onReply, onStatus, refreshSecondMe, resetSecondMe } from './stores/second-me.ts';

const ROOMS_EVERY_MS = 15_000;

/** Goes live; the answer ends it. */
export function startLive(): () => void {
  const { rooms, presence, start } = openSockets();
  const heartbeat = startHeartbeat();

  rooms.on('connect', () => {
    void joinOpenRoom();
    void pumpOutbox();
    askRooms('feed.subscribe', { scope: 'city' }).catch(() => undefined);
    void refreshCity().then(() => {
      const first = cityStore.get().rooms?.[0];
      if (first) void learnMembers(first.id);
    });
    void refreshSecondMe();
  });
  rooms.on('disconnect', onConnectionLost);
  for (const name of ['room.message', 'room.message.updated', 'room.message.deleted'] as const) {
    rooms.on(name, (event) => {
      onRoomMessage(event);
      onDelivered(event.message);
    });
  }
  rooms.on('room.join', (event) => onArrival(event, true));
  rooms.on('room.leave', (event) => onArrival(event, false));
  rooms.on('room.presence', (event) => onRoomCount(event.room_id, event.members_online));
  rooms.on('room.typing', (event) => onTyping(event.room_id, event.user_ids));
  rooms.on('room.closed', (event) => onClosed(event.room_id, event.reason));
  rooms.on('feed.events', ({ events }) => onFeedEvents(events, openRoomId()));
  rooms.on('feed.removed', ({ ids }) => onFeedRemoved(ids));
  rooms.on('secondme.status', (event) => onStatus(event.invocation_id, event.status));
  rooms.on('secondme.delta', (event) => onDelta(event.invocation_id, event.index, event.text));
  rooms.on('secondme.reply', onReply);

  let snapshotDue = false;
  presence.on('connect', () => {
    snapshotDue = true;
    heartbeat.beat();
    const open = openRoomId();
    if (open) watchRoom(open, true);
  });
  presence.on('disconnect', () => setMine('offline'));
  presence.on('presence.bulk_update', ({ users }) => {
    seeUsers(users, snapshotDue);
    snapshotDue = false;
  });
  presence.on('presence.update', (user) => seeUsers([user]));
  presence.on('presence.count', seeCount);

  // Counts of rooms that are not open are not pushed: they are read again while somebody is looking.
  const poll = setInterval(() => {
    if (document.visibilityState === 'visible' && rooms.connected) void refreshRooms();
  }, ROOMS_EVERY_MS);
  const onVisible = () => {
    if (document.visibilityState !== 'visible') return;
    reconnectNow();
    if (rooms.connected) void refreshRooms();
  };
  document.addEventListener('visibilitychange', onVisible);
  window.addEventListener('online', reconnectNow);
  start();

  return () => {
    clearInterval(poll);
    document.removeEventListener('visibilitychange', onVisible);
    window.removeEventListener('online', reconnectNow);
    heartbeat.stop();
    closeSockets();
    resetCity();
    resetOutbox();
    resetSecondMe();
    seeUsers([], true);
  };
}
