/** The reader, and what their roles let them do. */
import { sessionStore, type Session } from '../session.ts';
import { useStore } from '../store.ts';

/** Only below the frame, where somebody is signed in. */
export function useReader(): Session & { readonly moderates: boolean; readonly admin: boolean } {
  const session = useStore(sessionStore, (state) => state.session) ?? NOBODY;
  const admin = session.roles.includes('admin');
  return { ...session, admin, moderates: admin || session.roles.includes('moderator') };
}

/** What the frame sees in the moment between signing out and its end. */
const NOBODY: Session = { token: '', userId: '', name: '', roles: [], expiresAt: 0, dev: false };
