/** Every scenario of `npm run chaos`, in the order they are run. */
import type { Scenario } from './scenario.ts';
import { agentsTrouble } from './scenarios/agents-trouble.ts';
import { presence } from './scenarios/presence.ts';
import { rollingRestart } from './scenarios/rolling-restart.ts';
import { secondMeKills } from './scenarios/second-me-kills.ts';
import { secondMeLoad } from './scenarios/second-me-load.ts';
import { slowReader } from './scenarios/slow-reader.ts';
import { storm } from './scenarios/storm.ts';

export const SCENARIOS: Scenario[] = [
  rollingRestart,
  presence,
  secondMeKills,
  secondMeLoad,
  agentsTrouble,
  slowReader,
  storm,
];
