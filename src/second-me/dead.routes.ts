/** Dead invocations on the operations server. */
import type { OpsRoute } from '../platform/ops.ts';
import type { DeadInvocations } from './dead.service.ts';

export function deadInvocationRoutes(dead: DeadInvocations): OpsRoute[] {
  return [
    {
      method: 'get',
      path: '/second-me/dead',
      handle: async () => ({ dead: await dead.list() }),
    },
    {
      method: 'post',
      path: '/second-me/dead/:id/requeue',
      handle: async ({ id = '' }) => {
        await dead.requeue(id);
        return { invocation_id: id, status: 'queued' };
      },
    },
  ];
}
