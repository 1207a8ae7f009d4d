/** What a scenario of the bench is: its trials, the figures that one run of a trial gives, and what they are held to. */
import type { Services } from './services.ts';

export type ServerName = 'bare' | 'tutorial' | 'city';

/** What one run of a trial on one server measured. */
export interface RunResult {
  /** By name, in the unit that the trial gives them. */
  figures: Record<string, number>;
  /** Why the figures do not count: a loss, a duplicate, a refusal. Such a run is void: kept in the report, in no median. */
  problems: string[];
  /** What a reader of the figures should know. */
  notes?: string[];
}

export interface RunContext {
  server: ServerName;
  size: 'full' | 'smoke';
  services: Services;
  log: (line: string) => void;
}

/**
 * What a figure of the city is held to: the median itself, or its ratio to the median of the server `over`, of the
 * same runs.
 */
export interface Goal {
  figure: string;
  over?: ServerName;
  atLeast?: number;
  atMost?: number;
}

/** One load, run in turn on each of `servers`. */
export interface Trial {
  /** Unique in its scenario. */
  name: string;
  about: string;
  servers: ServerName[];
  /** Another number of runs than the bench's, for a trial that takes long or only counts. */
  runs?: number;
  /** Units of the figures, by name, in the order of the table. */
  figures: Record<string, string>;
  goals: Goal[];
  /** Throws only when the trial cannot be run at all; that aborts the scenario. */
  run(context: RunContext): Promise<RunResult>;
}

export interface Scenario {
  /** As given to --only; the file of its results is named so. */
  name: string;
  about: string;
  trials: Trial[];
}
