/** REST calls of moderation: acts on users, reports, the log. */
import type { Route } from '../platform/http.ts';
import type { ModerationLog } from './moderation.log.ts';
import type { Moderation } from './moderation.service.ts';
import type { Reports } from './reports.service.ts';

interface ModerationRouteDeps {
  moderation: Moderation;
  reports: Reports;
  moderationLog: ModerationLog;
}

export function moderationRoutes(
  route: Route,
  { moderation, reports, moderationLog }: ModerationRouteDeps,
): void {
  route('moderate', async ({ caller, params, body, requestId }) => ({
    body: await moderation.act(caller, params.room_id, body, requestId),
  }));

  route('moderationLog', async ({ query }) => ({ body: await moderationLog.list(query) }));

  route(
    'report',
    async ({ caller, body }) => {
      const { report, repeated } = await reports.report(caller, body);
      return { status: repeated ? 200 : 201, body: report };
    },
    'send',
  );

  route('listReports', async ({ query }) => ({ body: await reports.list(query) }));

  route('handleReport', async ({ caller, params, body, requestId }) => ({
    body: await reports.handle(caller, params.id, body, requestId),
  }));
}
