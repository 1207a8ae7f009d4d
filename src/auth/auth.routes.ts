/** Logging out everywhere; in development, a token for anybody. */
import type { Route } from '../platform/http.ts';
import type { Logouts } from './logouts.ts';
import type { Tokens } from './tokens.ts';

const LIFETIME_S = 24 * 3600;

export function logoutRoute(route: Route, logouts: Logouts): void {
  route('logoutEverywhere', async ({ caller }) => ({ body: await logouts.everywhere(caller) }));
}

export function devTokenRoute(route: Route, tokens: Tokens): void {
  route(
    'devToken',
    async ({ body: { user_id, name, roles } }) => ({
      status: 201,
      body: await tokens.sign({ user_id, name, roles }, LIFETIME_S),
    }),
    'token_address',
  );
}
