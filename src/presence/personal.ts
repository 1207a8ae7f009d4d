/** Whether one user is here, was last, and what they have open. */
import type { Forget, Section } from '../me/personal-data.ts';
import { statuses } from './presence.store.ts';
import { presenceScripts } from './scripts.ts';

export const presenceSections: Section[] = [
  {
    name: 'presence',
    async *pages({ redis }, userId) {
      const found = await statuses(presenceScripts(redis.commands), [userId]);
      yield found.map(({ presence }) => presence);
    },
  },
];

/** Ends every lease and forgets when the user was last seen. Rejects while Redis is away. */
export const forgetPresence: Forget = ({ redis }, { userId }) =>
  presenceScripts(redis.commands).cityForget(userId);
