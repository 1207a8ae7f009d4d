/** The shape of a room's house, drawn from its slug: the same room always looks the same. */
import { hash } from '../text.ts';

export interface Facade {
  readonly width: number;
  readonly height: number;
  readonly roof: number;
  readonly windows: readonly { x: number; y: number; lit: boolean }[];
}

const CELL_W = 15;
const CELL_H = 20;

/** Rows grow with the logarithm of the conversation; as many windows are lit as people are inside. */
export function facade(slug: string, lastSeq: number, inside: number): Facade {
  const seed = hash(slug);
  const columns = 3 + (seed % 3);
  const rows = Math.min(9, 2 + ((seed >>> 4) % 2) + Math.floor(Math.log2(lastSeq + 1) / 1.6));
  const order = Array.from({ length: columns * rows }, (_, at) => at).sort(
    (a, b) => hash(`${slug}${a}`) - hash(`${slug}${b}`),
  );
  const lit = new Set(order.slice(0, inside));
  return {
    width: columns * CELL_W + 9,
    height: rows * CELL_H + 8,
    roof: (seed >>> 8) % 4,
    windows: order
      .map((at) => ({
        x: 9 + (at % columns) * CELL_W,
        y: 9 + Math.floor(at / columns) * CELL_H,
        lit: lit.has(at),
      }))
      .sort((a, b) => a.y - b.y || a.x - b.x),
  };
}
