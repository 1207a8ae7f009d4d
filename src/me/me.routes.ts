/** REST calls of somebody about themselves. */
import type { Route } from '../platform/http.ts';
import type { Erasures } from './erasures.ts';
import type { Exports } from './export.ts';

export function meRoutes(
  route: Route,
  { erasures, exports }: { erasures: Erasures; exports: Exports },
): void {
  route('exportMe', ({ caller }) => {
    const { pieces, signal } = exports.begin(caller);
    return {
      headers: { 'Content-Disposition': 'attachment; filename="city-export.json"' },
      stream: { pieces, signal },
    };
  });

  route('eraseMe', async ({ caller }) => ({ status: 202, body: await erasures.begin(caller) }));
}
