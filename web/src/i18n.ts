/** The language of the page: choosing it, and texts, numbers and times in it. */
import { dictionary, type Key, type Text } from './dictionary.ts';
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
  document.documentElement.lang = langStore.get();
}
langStore.subscribe(apply);
apply();

export function switchLang(): void {
  langStore.set((lang) => (lang === 'uk' ? 'en' : 'uk'));
  localStorage.setItem(KEPT, langStore.get());
}

function build(lang: Lang) {
  const plural = new Intl.PluralRules(lang);
  const number = new Intl.NumberFormat(lang);
  const time = new Intl.DateTimeFormat(lang, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  const date = new Intl.DateTimeFormat(lang, { day: 'numeric', month: 'long' });
  const dateYear = new Intl.DateTimeFormat(lang, { day: 'numeric', month: 'long', year: 'numeric' });
  const short = new Intl.DateTimeFormat(lang, { day: 'numeric', month: 'short' });
  const full = new Intl.DateTimeFormat(lang, { dateStyle: 'long', timeStyle: 'medium' });

  function t(key: Key, values: Values = {}): string {
    const text: Text = dictionary[lang][key];
    const form =
      typeof text === 'string' ? text : (text[plural.select(Number(values['n']))] ?? text.other ?? '');
    return form.replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = values[name];
      return typeof value === 'number' ? number.format(value) : (value ?? '');
    });
  }

  /** A text for a key made at run time, or null when there is none. */
  const maybe = (key: string): string | null => (key in dictionary.en ? t(key as Key) : null);

  return {
    lang,
    t,
    error: (code: string): string => maybe(`error.${code}`) ?? t('error.internal'),
    inside: (n: number) => (n === 0 ? t('room.nobody') : t('room.inside', { n })),
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
