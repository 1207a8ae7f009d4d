/** Second Me over REST. */
import type { Request } from 'express';
import type { Invocation } from '../contract/second-me.ts';
import { AppError } from '../platform/errors.ts';
import { idempotencyKey } from '../platform/http.ts';
import type { RestAnswer, Route } from '../platform/http.ts';
import { isFinished } from './second-me.service.ts';
import type { SecondMe } from './second-me.service.ts';

/** Messages of the conversation that come with a reply. */
const REPLY_HISTORY = 5;

/** RFC 7240: `Prefer: respond-async`. */
const prefersAsync = (request: Request) =>
  /(?:^|,)\s*respond-async\s*(?:[;,]|$)/i.test(request.get('Prefer') ?? '');

const accepted = ({ invocation_id, status }: Invocation): RestAnswer => ({
  status: 202,
  headers: { Location: `/secondme/invocations/${invocation_id}` },
  body: { invocation_id, status },
});

export function secondMeRoutes(route: Route, secondMe: SecondMe): void {
  route(
    'invoke',
    async ({ caller, body, request }) => {
      const { invocation: begun, hinted } = await secondMe.invoke(
        caller,
        body.prompt,
        idempotencyKey(request),
      );
      const mayWait = hinted && !isFinished(begun) && !prefersAsync(request);
      const invocation = mayWait ? await secondMe.waitFor(begun) : begun;
      if (!isFinished(invocation)) return accepted(invocation);
      const { status, created_at: _, ...result } = invocation;
      if (status === 'cancelled') throw new AppError('conflict', 'The invocation was cancelled.');
      if (status === 'failed') throw new AppError('unavailable', 'Your Second Me cannot answer right now.');
      return { body: { ...result, history: await secondMe.history(caller, REPLY_HISTORY) } };
    },
    'invoke',
  );

  route('getInvocation', async ({ caller, params }) => ({ body: await secondMe.get(caller, params.id) }));

  route('cancelInvocation', async ({ caller, params }) => ({
    body: await secondMe.cancel(caller, params.id),
  }));

  route('history', async ({ caller, query }) => ({ body: await secondMe.history(caller, query.limit) }));

  route('profile', async ({ caller }) => ({ body: await secondMe.profile(caller) }));

  route('clearHistory', async ({ caller }) => ({
    body: { status: 'cleared', deleted: await secondMe.clear(caller) },
  }));
}
