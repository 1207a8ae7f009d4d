/** Every text of the page in both languages. */
import { en } from './en.ts';
import { moderationEn, moderationUk } from './moderation.ts';
import { uk } from './uk.ts';

export const dictionary = { en: { ...en, ...moderationEn }, uk: { ...uk, ...moderationUk } } as const;

export type Key = keyof typeof dictionary.en;
