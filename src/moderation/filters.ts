/** Word and link filters: what a message may not hold, as the configuration says. */
import { AppError } from '../platform/errors.ts';

/** `off`: any link may be sent; `on`: none; hosts: only links to these and to what lies below them. */
export type LinkFilter = 'off' | 'on' | readonly string[];

export interface FilterSettings {
  words: readonly string[];
  links: LinkFilter;
}

export type Filters = ReturnType<typeof createFilters>;

/**
 * One spelling for all the ways to write the same: compatibility forms, case, and characters that show nothing
 * (zero-width ones, soft hyphens, variation selectors).
 */
const plain = (text: string): string =>
  text
    .normalize('NFKC')
    .replace(/[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu, '')
    .toUpperCase()
    .toLowerCase()
    .normalize('NFKC');

/** The words of a text with single spaces around them, so that whole words are found by looking for ` word `. */
export const wordLine = (text: string): string =>
  ` ${(plain(text).match(/[\p{L}\p{N}\p{M}]+/gu) ?? []).join(' ')} `;

/**
 * Any scheme with slashes, `http:` without, an address that begins with `www.`, or a host name with a path. Bounded, so
 * that no text costs more than its length.
 */
const LINK =
  /(?:[a-z][a-z0-9+.-]{0,30}:[/\\]{2}|https?:|(?<![\p{L}\p{N}@./\\-])(?:[/\\]{2}(?=[\p{L}\p{N}-]+\.)|www\.|(?=(?:[\p{L}\p{N}-]{1,63}\.){1,9}\p{L}{2,63}[/\\])))[^\s<>"]+/gu;

/** The host that a link leads to; undefined when it cannot be told. */
function hostOf(link: string): string | undefined {
  const url = /^[a-z][a-z0-9+.-]*:/.test(link) ? link : `https://${link.replace(/^[/\\]+/, '')}`;
  if (!/^https?:/.test(url) || !URL.canParse(url)) return undefined;
  return new URL(url).hostname.replace(/\.$/, '');
}

export function createFilters({ words, links }: FilterSettings) {
  const [phrases, single] = [new Set<string>(), new Set<string>()];
  for (const word of words) (wordLine(word).trim().includes(' ') ? phrases : single).add(wordLine(word));
  const allowed = typeof links === 'string' ? [] : links;

  const hasWord = (text: string): boolean => {
    if (words.length === 0) return false;
    const line = wordLine(text);
    return (
      line.split(' ').some((word) => single.has(` ${word} `)) ||
      [...phrases].some((phrase) => line.includes(phrase))
    );
  };

  const mayLead = (link: string): boolean => {
    const host = hostOf(link);
    return host !== undefined && allowed.some((one) => host === one || host.endsWith(`.${one}`));
  };

  const hasLink = (text: string): boolean => {
    if (links === 'off') return false;
    // Full stops that browsers take for dots in a host name.
    const found =
      plain(text)
        .replace(/[。．｡]/g, '.')
        .match(LINK) ?? [];
    return found.some((link) => !mayLead(link));
  };

  return {
    /**
     * Passes when none of `texts`, by field name, holds a filtered word or link.
     * @throws AppError invalid naming the field, never the word
     */
    check(texts: Record<string, string | null | undefined>): void {
      const errors = Object.entries(texts).flatMap(([path, text]) => {
        if (text == null) return [];
        return [
          ...(hasWord(text) ? [{ path, message: 'holds a word that this city does not allow' }] : []),
          ...(hasLink(text) ? [{ path, message: 'holds a link that this city does not allow' }] : []),
        ];
      });
      if (errors.length > 0) throw new AppError('invalid', 'This text is not allowed here.', { errors });
    },
  };
}
