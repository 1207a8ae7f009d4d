/** What a scenario is: one promise shown on a city of its own, at a small size for CI and at the full one. */

export type Size = 'smoke' | 'full';

export interface ScenarioResult {
  /** What was measured, for the report. */
  figures: Record<string, number | string>;
  /** What broke the promise, the first offender first; empty when it held. */
  problems: string[];
}

export interface Scenario {
  name: string;
  /** The promise, in one line. */
  promise: string;
  run(options: { size: Size; log: (line: string) => void }): Promise<ScenarioResult>;
}
