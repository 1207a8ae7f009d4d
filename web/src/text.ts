/** Small helpers for text: slugs, initials, blank checks, lengths and random keys. */

/** Ukrainian letters by the official romanisation of 2010 (without its rules for the start of a word). */
const LATIN: Record<string, string> = Object.fromEntries(
  'а a б b в v г h ґ g д d е e є ie ж zh з z и y і i ї i й i к k л l м m н n о o п p р r с s т t у u ф f х kh ц ts ч ch ш sh щ shch ю iu я ia'
    .split(' ')
    .reduce<[string, string][]>(
      (pairs, part, at, all) => (at % 2 ? [...pairs, [all[at - 1] ?? '', part]] : pairs),
      [],
    ),
);

/** A stable number for a text, for colours, façades and ids. */
export function hash(text: string): number {
  let value = 2166136261;
  for (const char of text) value = Math.imul(value ^ (char.codePointAt(0) ?? 0), 16777619);
  value = Math.imul(value ^ (value >>> 15), 2246822519);
  value = Math.imul(value ^ (value >>> 13), 3266489909);
  return (value ^ (value >>> 16)) >>> 0;
}

/** The user id that a name signs in with in development. */
export function userIdFor(name: string): string {
  const slug = Array.from(name.toLowerCase(), (char) => LATIN[char] ?? char)
    .join('')
    .normalize('NFKD')
    .replace(/[\u0300-\u036f'’ʼ`]/g, '')
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 48)
    .replace(/^-+|-+$/g, '');
  return `u_${slug || hash(name.trim()).toString(36)}`;
}

/** One or two letters for a name; what is in brackets or is no letter or digit is left out. */
export function initials(name: string): string {
  const words = name.replace(/\(.*?\)/g, ' ').match(/[\p{L}\p{N}]+/gu) ?? [];
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words.slice(0, 1);
  return letters.map((word) => Array.from(word ?? '')[0] ?? '').join('') || '?';
}

/** Removes what the server refuses to store: NUL and lone surrogates. */
export const storable = (text: string): string => text.replace(/[\0\p{Cs}]/gu, '');

export const isBlank = (text: string): boolean => !/[^\s\p{C}\p{Z}]/u.test(text);

export const codePoints = (text: string): number => Array.from(text).length;
