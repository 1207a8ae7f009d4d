/** Every scenario of `npm run chaos`, in the order they are run. */
import type { Scenario } from './scenario.ts';

export const SCENARIOS: Scenario[] = [];
