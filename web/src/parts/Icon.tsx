/** The few line icons of the page. */

const PATHS = {
  city: 'M3 20V10l6-4v14M9 20V4h11v16M13 8h3M13 12h3M13 16h3M2 20h20',
  me: 'M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8ZM4 20c.8-3.6 4-5.6 8-5.6s7.2 2 8 5.6',
  people:
    'M9 5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7ZM2.5 19.5c.6-3 3.1-4.7 6.5-4.7s5.9 1.7 6.5 4.7M16 5.4a3.4 3.4 0 0 1 0 6.3M18 15.2c2 .6 3.2 2.1 3.6 4.3',
  plus: 'M12 5v14M5 12h14',
  send: 'M4 12h14M12 5l7 7-7 7',
  back: 'M20 12H6M12 5l-7 7 7 7',
  down: 'M12 5v14M5 12l7 7 7-7',
  stop: 'M7 7h10v10H7z',
  out: 'M10 4H5v16h5M10 12h10M16 8l4 4-4 4',
  close: 'M6 6l12 12M18 6L6 18',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  shield: 'M12 3l7.5 2.5V11c0 4.6-3 8-7.5 10-4.5-2-7.5-5.4-7.5-10V5.5zM9 11.5l2.2 2.3 4-4.3',
  care: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5',
  lens: 'M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM15.5 15.5L21 21',
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg className={`icon is-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
