/** A street at dusk for the sign-in page, made of the same houses as the rooms. */
import { House } from '../city/House.tsx';

const STREET = [
  ['poshta', 40, 3],
  ['general', 900, 6],
  ['sad', 2, 1],
  ['science', 120, 4],
  ['energy', 30, 2],
  ['welcome', 300, 7],
  ['kavarnia', 6, 2],
  ['builders', 1800, 9],
  ['maisternia', 60, 3],
  ['teatr', 500, 5],
  ['rynok', 12, 2],
  ['vokzal', 240, 6],
  ['knyharnia', 20, 3],
  ['mist', 700, 8],
] as const;

export function SkyPicture() {
  return (
    <div className="street" aria-hidden="true">
      {STREET.map(([slug, lastSeq, inside]) => (
        <House key={slug} slug={slug} lastSeq={lastSeq} inside={inside} />
      ))}
    </div>
  );
}
