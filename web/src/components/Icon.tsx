/** The few line icons of the page. */

const PATHS = {
  city: 'M3 20V10l6-4v14M9 20V4h11v16M13 8h3M13 12h3M13 16h3M2 20h20',
  me: 'M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8ZM4 20c.8-3.6 4-5.6 8-5.6s7.2 2 8 5.6',
  plus: 'M12 5v14M5 12h14',
  send: 'M4 12h14M12 5l7 7-7 7',
  back: 'M20 12H6M12 5l-7 7 7 7',
  down: 'M12 5v14M5 12l7 7 7-7',
  stop: 'M7 7h10v10H7z',
  out: 'M10 4H5v16h5M10 12h10M16 8l4 4-4 4',
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
