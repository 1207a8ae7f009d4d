/** The drawing of one house: roof, wall and windows; and of a site where none stands yet. */
import { facade } from './facade.ts';

const ROOF = 22;

/** Four kinds of roof: flat with a parapet, gable, aerial, water tank. */
function roofPath(kind: number, width: number): string {
  const middle = width / 2;
  switch (kind) {
    case 0:
      return `M-2 0h${width + 4}v-4h-${width + 4}z`;
    case 1:
      return `M-3 0L${middle} -17L${width + 3} 0z`;
    case 2:
      return `M${width - 14} 0v-20h1.6v20zM${width - 20} -18h8v1.4h-8zM${width - 18} -14.5h12v1.4h-12zM${width - 18} -11h6v1.4h-6zM0 0v-3h${width}v3z`;
    default:
      return `M8 0v-5h2v5zM22 0v-5h2v5zM5 -5v-11l11 -4l11 4v11zM0 0v-2h${width}v2z`;
  }
}

export function House({ slug, lastSeq, inside }: { slug: string; lastSeq: number; inside: number }) {
  const { width, height, roof, windows } = facade(slug, lastSeq, inside);
  const box = { width: width + 6, height: height + ROOF };
  return (
    <svg
      className="house"
      width={box.width}
      height={box.height}
      viewBox={`-3 ${-ROOF} ${box.width} ${box.height}`}
      aria-hidden="true"
      focusable="false"
    >
      <path className="house-wall" d={roofPath(roof, width)} />
      <rect className="house-wall" width={width} height={height} />
      {windows.map(({ x, y, lit }) => (
        <rect
          key={`${x}:${y}`}
          className={lit ? 'house-window is-lit' : 'house-window'}
          x={x}
          y={y}
          width={6}
          height={11}
        />
      ))}
    </svg>
  );
}

export function Site() {
  return (
    <svg className="house" width={66} height={66} viewBox="-3 -4 66 66" aria-hidden="true" focusable="false">
      <rect className="site-outline" x={1} y={0} width={58} height={61} />
      <path className="site-plus" d="M30 20v22M19 31h22" />
    </svg>
  );
}
