/** All scenarios, in the order of the report. */
import type { Scenario } from './scenario.ts';
import { bigRoom } from './scenarios/big-room.ts';
import { connections } from './scenarios/connections.ts';
import { fanOut } from './scenarios/fan-out.ts';
import { growth } from './scenarios/growth.ts';
import { presence } from './scenarios/presence.ts';
import { rest } from './scenarios/rest.ts';
import { resume } from './scenarios/resume.ts';
import { saturation } from './scenarios/saturation.ts';
import { secondMe } from './scenarios/second-me.ts';

export const SCENARIOS: Scenario[] = [
  saturation,
  fanOut,
  bigRoom,
  connections,
  presence,
  resume,
  rest,
  growth,
  secondMe,
];
