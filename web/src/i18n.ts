/** The language of the page: choosing it, and texts, numbers and times in it. */
import { dictionary, type Key } from './words/dictionary.ts';
import type { Text } from './words/text.ts';
import { createStore, useStore } from './store.ts';

type Lang = keyof typeof dictionary;
type Values = Record<string, string | number>;

const KEPT = 'daarion.lang';

function initial(): Lang {
  const kept = localStorage.getItem(KEPT);
  if (kept === 'en' || kept === 'uk') return kept;
  return navigator.languages.some((tag) => tag.startsWith('uk')) ? 'uk' : 'en';
}

const langStore = createStore<Lang>(initial());

function apply(): void {
  document.documentElement.lang = langStore.getSnapshot();
}
langStore.subscribe(apply);
apply();

export function switchLang(): void {
  langStore.set((lang) => (lang === 'uk' ? 'en' : 'uk'));
  localStorage.setItem(KEPT, langStore.getSnapshot());
}

const BIDI_CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/** A name as it goes into a sentence: whatever its direction, the words around it keep theirs. */
function isolated(value: string): string {
  const plain = value.replace(BIDI_CONTROLS, '');
  return plain !== value || RIGHT_TO_LEFT.test(plain) ? `\u2068${plain}\u2069` : plain;
}

function build(lang: Lang) {
  const locale = lang === 'en' ? 'en-GB' : 'uk';
  const plural = new Intl.PluralRules(lang);
  const number = new Intl.NumberFormat(locale);
  const time = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  const date = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long' });
  const dateYear = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', year: 'numeric' });
  const short = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' });
  const full = new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeStyle: 'medium' });

  function t(key: Key, values: Values = {}): string {
    const text: Text = dictionary[lang][key];
    const form =
      typeof text === 'string' ? text : (text[plural.select(Number(values['n']))] ?? text.other ?? '');
    return form.replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = values[name];
      return typeof value === 'number' ? number.format(value) : isolated(value ?? '');
    });
  }

  /** A text for a key made at run time, or null when there is none. */
  const maybe = (key: string): string | null => (key in dictionary.en ? t(key as Key) : null);

  return {
    lang,
    t,
    error: (code: string): string => maybe(`error.${code}`) ?? t('error.internal'),
    inside: (n: number) => (n === 0 ? t('room.nobody') : t('room.inside', { n })),
    /** A duration in whole seconds, minutes or hours. */
    duration(seconds: number): string {
      if (seconds % 3600 === 0) return t('time.h', { n: seconds / 3600 });
      return seconds % 60 === 0 ? t('time.min', { n: seconds / 60 }) : t('time.s', { n: seconds });
    },
    time: (iso: string) => time.format(new Date(iso)),
    full: (iso: string) => full.format(new Date(iso)),
    /** The time today, the date before. */
    brief(iso: string): string {
      const at = new Date(iso);
      return at.toDateString() === new Date().toDateString() ? time.format(at) : short.format(at);
    },
    day(iso: string): string {
      const at = new Date(iso);
      const now = new Date();
      if (at.toDateString() === now.toDateString()) return t('room.today');
      now.setDate(now.getDate() - 1);
      if (at.toDateString() === now.toDateString()) return t('room.yesterday');
      return (at.getFullYear() === now.getFullYear() ? date : dateYear).format(at);
    },
  };
}

const built = { en: build('en'), uk: build('uk') };

export type Words = (typeof built)[Lang];

export const useWords = (): Words => built[useStore(langStore, (lang) => lang)];
