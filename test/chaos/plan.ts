/** What a run strikes with and when: each fault once, or random overlaps that a seed repeats. */
import type { Strike } from './episode.ts';
import { FAULTS } from './faults.ts';
import type { Fault } from './faults.ts';

/** Strikes of an overlapping episode: this many within this time. */
const OVERLAPS = 6;
const WITHIN_MS = 75_000;
const LASTS_MS = { least: 3_000, most: 25_000 };

/** The faults that a smoke strikes with. */
export const SMOKE_FAULTS = FAULTS.filter(({ lasts }) => lasts.smoke > 0);

/** One fault alone. */
export const alone = (fault: Fault, size: 'smoke' | 'full'): Strike[] => [
  { fault, afterMs: 0, lastsMs: fault.lasts[size] * 1_000 },
];

/** Random faults at random times for random spans; they overlap. */
export function overlapping(random: () => number): Strike[] {
  const between = (least: number, most: number) => least + random() * (most - least);
  return Array.from({ length: OVERLAPS }, () => ({
    fault: SMOKE_FAULTS[Math.floor(random() * SMOKE_FAULTS.length)]!,
    afterMs: between(0, WITHIN_MS),
    lastsMs: between(LASTS_MS.least, LASTS_MS.most),
  })).sort((a, b) => a.afterMs - b.afterMs);
}

/** What struck, for a table. */
export const nameOf = (strikes: Strike[]): string =>
  strikes.length === 1
    ? `${strikes[0]!.fault.id} ${strikes[0]!.fault.name}`
    : strikes.map(({ fault }) => fault.id).join(' + ');
