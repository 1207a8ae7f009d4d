/** Where the reader is, kept in the address after `#`, so that the server needs one page only. */
import { useSyncExternalStore } from 'react';

export type Route =
  { page: 'city' } | { page: 'room'; ref: string } | { page: 'new-room' | 'me' | 'moderation' };

function parse(hash: string): Route {
  const [page, ref] = hash.replace(/^#\/?/, '').split('/');
  if (page === 'rooms' && ref && /^[a-z0-9_-]+$/.test(ref)) return { page: 'room', ref };
  if (page === 'new-room' || page === 'me' || page === 'moderation') return { page };
  return { page: 'city' };
}

export const roomHref = (slug: string): string => `#/rooms/${slug}`;
/** The address of a room known by its id alone: the slug is the id's tail. */
export const roomIdHref = (id: string): string => roomHref(id.replace(/^room_city_/, ''));

export function go(href: string): void {
  window.location.hash = href;
}

const subscribe = (listener: () => void) => {
  window.addEventListener('hashchange', listener);
  return () => window.removeEventListener('hashchange', listener);
};

let current = { hash: '', route: parse('') };

export function useRoute(): Route {
  return useSyncExternalStore(subscribe, () => {
    const hash = window.location.hash;
    if (hash !== current.hash) current = { hash, route: parse(hash) };
    return current.route;
  });
}
