/** Development only: a token for anybody. */
import type { Route } from '../platform/http.ts';
import type { Tokens } from './tokens.ts';

const LIFETIME_S = 24 * 3600;

export function devTokenRoute(route: Route, tokens: Tokens): void {
  route('devToken', async ({ body: { user_id, name, roles } }) => ({
    status: 201,
    body: await tokens.sign({ user_id, name, roles }, LIFETIME_S),
  }));
}
