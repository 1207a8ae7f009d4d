/** The socket language as types: what may be asked of each namespace and what is heard from it. */
import type { z } from 'zod';
import type {
  PRESENCE_CLIENT_EVENTS,
  PRESENCE_SERVER_EVENTS,
  ROOMS_CLIENT_EVENTS,
  ROOMS_SERVER_EVENTS,
} from '../contract/events.ts';

type Calls = typeof ROOMS_CLIENT_EVENTS & typeof PRESENCE_CLIENT_EVENTS;
type News = typeof ROOMS_SERVER_EVENTS & typeof PRESENCE_SERVER_EVENTS;

export type CallName = keyof Calls;
export type Payload<Name extends CallName> = z.input<Calls[Name]['payload']>;
export type Answer<Name extends CallName> = z.output<Calls[Name]['data']>;

export type NewsName = keyof News;
export type NewsOf<Name extends NewsName> = z.output<News[Name]['payload']>;

/** Calls an event; its name says which namespace it belongs to. */
export type Ask = <Name extends CallName>(name: Name, payload: Payload<Name>) => Promise<Answer<Name>>;

/** Hears an event of the city from now on; the answer ends that. */
export type Listen = <Name extends NewsName>(
  name: Name,
  listener: (payload: NewsOf<Name>) => void,
) => () => void;
