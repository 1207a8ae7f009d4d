/** All scenarios, in the order of the report. */
import type { Scenario } from './scenario.ts';
import { saturation } from './scenarios/saturation.ts';

export const SCENARIOS: Scenario[] = [saturation];
