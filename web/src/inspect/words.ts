/** The inspector's texts in English and Ukrainian, and the language that the City page was last read in. */
import { useSyncExternalStore } from 'react';

const en = {
  title: 'Inspector',
  lead: 'What one plain socket.io connection receives, how far every node is, and whether anything is missing.',
  language: 'Українською',
  city: 'To the city',
  token: 'Your token',
  tokenHint: 'A JWT; an admin’s shows the nodes too. It stays in this tab.',
  enter: 'Inspect',
  signOut: 'Another token',
  room: 'Room',
  cut: 'Cut the connection',
  reconnect: 'Connect again',
  one: 'Somebody writes',
  five: 'Somebody writes five',
  edit: 'Somebody edits their last',
  refusedCall: 'Refused: {code}',
  'phase.connecting': 'Connecting',
  'phase.live': 'Live',
  'phase.replaying': 'Replaying',
  'phase.lost': 'Connection lost, reconnecting',
  'phase.cut': 'Cut: nothing arrives here now',
  'phase.refused': 'Refused',
  over: 'over {transport}',
  verdict: 'Order and resume',
  'verdict.none': 'Not joined yet.',
  'verdict.whole': 'Nothing is missing: every message came once, +1 from each to the next.',
  'verdict.behind':
    'While the line is cut: {n} changes are stored that this page does not have. Connect again.',
  'verdict.broken':
    'Not whole: missing messages {missing}; {repeated} changes came twice; {short} changes short of the head.',
  resumed: 'Resumed after change {since}: {n} messages were replayed.',
  place: 'Here',
  live: 'live',
  replayed: 'replayed',
  replaced: 'replaced by a later change',
  lag: 'Delivery lag',
  lagValue: 'median {median} ms, worst {worst} ms of {n}',
  lagNone: 'nothing live yet',
  lagClock: 'From the commit’s time in the database to the arrival here; the clocks agree to ±{ms} ms.',
  lagNoClock: 'By this machine’s clock, which nobody has compared with the database’s.',
  nodes: 'Rooms and nodes',
  nodesLead: 'seq / change_seq: what is stored, what each node has delivered to its subscribers.',
  nodesForbidden: 'An admin’s token shows this.',
  nodesNone: 'No room is open on any node.',
  stored: 'Stored',
  page: 'This page',
  asked: 'answers',
  closed: 'not open',
  behind: '−{n}',
  events: 'Events of the connection',
  eventsNone: 'Nothing yet.',
  time: 'Time',
  kind: 'Kind',
  event: 'Event',
  lagColumn: 'Lag, ms',
  payload: 'Payload',
  'kind.line': 'line',
  'kind.out': 'sent',
  'kind.in': 'received',
  'kind.live': 'live',
  'kind.replayed': 'replayed',
} as const;

const uk: Record<keyof typeof en, string> = {
  title: 'Інспектор',
  lead: 'Що отримує одне звичайне з’єднання socket.io, як далеко кожен вузол і чи нічого не пропущено.',
  language: 'In English',
  city: 'До міста',
  token: 'Ваш токен',
  tokenHint: 'JWT; з токеном адміністратора видно й вузли. Він лишається в цій вкладці.',
  enter: 'Дивитися',
  signOut: 'Інший токен',
  room: 'Кімната',
  cut: 'Обірвати з’єднання',
  reconnect: 'З’єднати знову',
  one: 'Хтось пише',
  five: 'Хтось пише п’ять разів',
  edit: 'Хтось виправляє останнє',
  refusedCall: 'Відмовлено: {code}',
  'phase.connecting': 'З’єднуюся',
  'phase.live': 'Наживо',
  'phase.replaying': 'Надолужую',
  'phase.lost': 'Зв’язок утрачено, відновлюю',
  'phase.cut': 'Обірвано: зараз сюди нічого не надходить',
  'phase.refused': 'Відмовлено',
  over: 'через {transport}',
  verdict: 'Порядок і відновлення',
  'verdict.none': 'Ще не в кімнаті.',
  'verdict.whole': 'Нічого не пропущено: кожне повідомлення прийшло один раз, щоразу +1.',
  'verdict.behind':
    'Поки з’єднання обірване: збережено {n} змін, яких на цій сторінці немає. З’єднайте знову.',
  'verdict.broken':
    'Не все: бракує повідомлень {missing}; двічі прийшло змін: {repeated}; до кінця журналу бракує змін: {short}.',
  resumed: 'Відновлено після зміни {since}: надолужено повідомлень: {n}.',
  place: 'Тут',
  live: 'наживо',
  replayed: 'надолужено',
  replaced: 'замінено пізнішою зміною',
  lag: 'Затримка доставки',
  lagValue: 'медіана {median} мс, найгірша {worst} мс із {n}',
  lagNone: 'наживо ще нічого не було',
  lagClock: 'Від часу запису в базі до прибуття сюди; годинники сходяться до ±{ms} мс.',
  lagNoClock: 'За годинником цієї машини, якого ніхто не звіряв із базою.',
  nodes: 'Кімнати й вузли',
  nodesLead: 'seq / change_seq: що збережено і що кожен вузол уже віддав своїм слухачам.',
  nodesForbidden: 'Це видно з токеном адміністратора.',
  nodesNone: 'На жодному вузлі не відкрито жодної кімнати.',
  stored: 'Збережено',
  page: 'Ця сторінка',
  asked: 'відповідає',
  closed: 'не відкрита',
  behind: '−{n}',
  events: 'Події з’єднання',
  eventsNone: 'Ще нічого.',
  time: 'Час',
  kind: 'Вид',
  event: 'Подія',
  lagColumn: 'Затримка, мс',
  payload: 'Вміст',
  'kind.line': 'лінія',
  'kind.out': 'надіслано',
  'kind.in': 'отримано',
  'kind.live': 'наживо',
  'kind.replayed': 'надолужено',
};

const KEPT = 'daarion.lang';
const words = { en, uk };
export type Key = keyof typeof en;
type Lang = keyof typeof words;

const initial = (): Lang => {
  const kept = localStorage.getItem(KEPT);
  if (kept === 'en' || kept === 'uk') return kept;
  return navigator.languages.some((tag) => tag.startsWith('uk')) ? 'uk' : 'en';
};

const listeners = new Set<() => void>();
let lang = initial();

export function switchLang(): void {
  lang = lang === 'uk' ? 'en' : 'uk';
  localStorage.setItem(KEPT, lang);
  for (const listener of listeners) listener();
}

/** A text in the language of the page, with its `{values}` put in. */
function t(key: Key, values: Record<string, string | number> = {}): string {
  return words[lang][key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
}

export function useWords() {
  const now = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    () => lang,
  );
  document.documentElement.lang = now;
  return { lang: now, t };
}
