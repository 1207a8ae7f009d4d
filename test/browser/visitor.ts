/** The page objects: what a person sees and does, by role and accessible name; every label that tests use is here. */
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { until } from '../support/until.ts';

/** How long a person waits for what should appear. */
const PATIENCE_MS = 20_000;

const LABELS = {
  uk: {
    name: 'Як місту вас називати?',
    haveToken: 'У мене є токен',
    token: 'Ваш токен',
    enter: 'Увійти в місто',
    main: 'Головне',
    log: 'Повідомлення',
    write: /^Написати: /,
    typing: (name: string) => `${name} пише`,
    waiting: 'чекає на зв’язок',
    edited: 'змінено',
    deleted: 'Повідомлення видалено',
    actions: /^Дії з повідомленням: /,
    edit: 'Змінити',
    remove: 'Видалити',
    removeSure: 'Видалити це повідомлення?',
    moderate: /^Модерувати: /,
    desk: 'Модерація',
    mute: 'Заглушити',
    reason: 'Причина',
    muted: 'Вам не можна тут писати: модератор вимкнув вам голос.',
    lost: /Зв’язок втрачено/,
    connectNow: 'З’єднати зараз',
    atHome: 'Удома',
    feed: 'Стрічка',
    away: 'не на місці',
    youAre: { online: 'Ви онлайн', away: 'Ви відійшли', offline: 'Ви офлайн' },
    secondMe: 'Друге Я',
    prompt: 'Запитати Друге Я',
    ask: 'Запитати',
    conversation: 'Розмова',
    stop: 'Зупинити',
    stopped: 'Зупинено',
    cut: 'Обірвати з’єднання',
    reconnect: 'З’єднати знову',
    fiveWrite: 'Хтось пише п’ять разів',
    missed: (n: number) => `збережено ${n} змін`,
    replayed: (n: number) => `надолужено повідомлень: ${n}`,
    whole: /^Нічого не пропущено/,
  },
  en: {
    name: 'What should the city call you?',
    haveToken: 'I have a token',
    token: 'Your token',
    enter: 'Enter the city',
    main: 'Main',
    log: 'Messages',
    write: /^Write to /,
    typing: (name: string) => `${name} is typing`,
    waiting: 'waiting for the connection',
    edited: 'edited',
    deleted: 'Message deleted',
    actions: /^Message actions: /,
    edit: 'Edit',
    remove: 'Delete',
    removeSure: 'Delete this message?',
    moderate: /^Moderate /,
    desk: 'Moderation',
    mute: 'Mute',
    reason: 'Reason',
    muted: 'You may not write here: a moderator has muted you.',
    lost: /Connection lost/,
    connectNow: 'Connect now',
    atHome: 'At home',
    feed: 'Feed',
    away: 'away',
    youAre: { online: 'You are online', away: 'You are away', offline: 'You are offline' },
    secondMe: 'Second Me',
    prompt: 'Ask your Second Me',
    ask: 'Ask',
    conversation: 'Conversation',
    stop: 'Stop',
    stopped: 'Stopped',
    cut: 'Cut the connection',
    reconnect: 'Connect again',
    fiveWrite: 'Somebody writes five',
    missed: (n: number) => `${n} changes are stored`,
    replayed: (n: number) => `${n} messages were replayed`,
    whole: /^Nothing is missing/,
  },
} as const;

export type Lang = keyof typeof LABELS;

/** What a page said that no page should say. */
export interface Faults {
  seen: string[];
  /** While the line is cut: failed requests and sockets are no fault. */
  networkExpected: boolean;
}

export interface Visit {
  browser: Browser;
  /** Of the node or of a line to it. */
  url: string;
  faults: Faults;
  lang?: Lang;
  phone?: boolean;
  dark?: boolean;
  /** The time of the page may be moved, by page.clock. */
  clock?: boolean;
  /** Another tab in the browser of this visitor. */
  besides?: { context: BrowserContext };
}

export type Visitor = Awaited<ReturnType<typeof enter>>;

const LOCALES = { uk: 'uk-UA', en: 'en-GB' };
const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

/** Opens the city's page, not signed in. */
export async function enter({ browser, url, faults, lang = 'uk', phone, dark, clock, besides }: Visit) {
  const context =
    besides?.context ??
    (await browser.newContext({
      locale: LOCALES[lang],
      timezoneId: 'Europe/Kyiv',
      viewport: phone ? SIZES.phone : SIZES.desktop,
      hasTouch: phone ?? false,
      isMobile: phone ?? false,
      deviceScaleFactor: 1,
      colorScheme: dark ? 'dark' : 'light',
      reducedMotion: 'reduce', // nothing is half faded in when it is looked at
    }));
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  await watch(page, faults);
  if (clock) await page.clock.install();
  await page.goto(url);
  const labels = LABELS[lang];
  const lost = page.getByRole('status').filter({ hasText: labels.lost });

  return {
    page,
    context,
    faults,
    labels,
    /** Through the form: by a name, or by a token. */
    async signInAs(name: string) {
      await page.getByLabel(labels.name).fill(name);
      await page.getByRole('button', { name: labels.enter }).click();
      await page.getByRole('navigation', { name: labels.main }).first().waitFor();
    },
    async signInWith(token: string) {
      await page.getByRole('button', { name: labels.haveToken }).click();
      await page.getByLabel(labels.token).fill(token);
      await page.getByRole('button', { name: labels.enter }).click();
      await page.getByRole('navigation', { name: labels.main }).first().waitFor();
    },
    async goHome() {
      await page.goto(`${url}/#/`);
      await page.getByRole('heading', { name: labels.feed }).waitFor();
    },
    ...inRoom(page, labels, url),
    ...atHome(page, labels),
    ...withSecondMe(page, labels, url),
    ...atInspector(page, labels, url),
    /** The banner that tells of a lost connection. */
    lost,
    /** Does not wait for the next attempt. */
    async reconnect() {
      const button = lost.getByRole('button', { name: labels.connectNow });
      button.click().catch(() => {}); // it may be back by itself before that
      await lost.waitFor({ state: 'hidden' });
    },
    /** Resolves when the visitor's own presence shows so. */
    presence: (status: 'online' | 'away' | 'offline') =>
      page.getByText(labels.youAre[status]).first().waitFor(),
    async openDesk() {
      await page.goto(`${url}/#/moderation`);
      await page.getByRole('heading', { name: labels.desk }).waitFor();
    },
    /** What strangers have made of the page by these texts: elements, a set global, words turned round. */
    injected: (hostile: readonly string[]) =>
      page.evaluate<string[]>(INJECTED.replace('HOSTILE', JSON.stringify(hostile))),
    /** As when another tab is brought to the front, which does not hide one without a window. */
    hide: (hidden: boolean) => page.evaluate(`(${HIDE})(${hidden})`),
    /** Closes the tab as a person does: the page is told. */
    async leave() {
      const closed = page.waitForEvent('close');
      await page.close({ runBeforeUnload: true });
      await closed;
    },
    close: () => (besides ? page.close() : context.close()),
  };
}

type Labels = (typeof LABELS)[Lang];

function inRoom(page: Page, labels: Labels, url: string) {
  const log = page.getByRole('region', { name: labels.log });
  const composer = page.getByRole('textbox', { name: labels.write });
  const message = (body: string) =>
    log.getByRole('listitem').filter({ has: page.getByText(body, { exact: true }) });
  const choose = async (body: string, item: string | RegExp) => {
    const line = message(body).first();
    await line.hover();
    await line.getByRole('button', { name: labels.actions }).click();
    await page.getByRole('menuitem', { name: item }).click();
  };
  /** What the messages of the log say, from the top. */
  const bodies = async (): Promise<string[]> => {
    const texts = await log.locator('.message-body').allTextContents();
    return texts.map((text) =>
      text.endsWith(` ${labels.edited}`) ? text.slice(0, -1 - labels.edited.length) : text,
    );
  };

  return {
    log,
    composer,
    message,
    bodies,
    async openRoom(slug: string) {
      await page.goto(`${url}/#/rooms/${slug}`);
      await composer.waitFor();
    },
    async say(...texts: string[]) {
      for (const text of texts) {
        await composer.fill(text);
        await composer.press('Enter');
      }
    },
    /** Waits until a message says this. */
    reads: (body: string) => message(body).first().waitFor(),
    /** Waits until `author` is seen typing. */
    seesTyping: (author: string) => page.getByText(labels.typing(author), { exact: true }).waitFor(),
    /** Messages that wait for the connection. */
    unsent: log.getByText(labels.waiting),
    seesTypingAnybody: () => page.getByText(labels.typing('')).waitFor(),
    /** Waits until the log says exactly this, from the top ('' is a deleted message); fails with what it says instead. */
    async readsExactly(bodiesExpected: readonly string[]) {
      const expected = bodiesExpected.map((body) => body || labels.deleted);
      let seen: string[] = [];
      const same = async () => {
        seen = await bodies();
        return seen.length === expected.length && seen.every((body, at) => body === expected[at]);
      };
      await until(same, 'the log says what it should', PATIENCE_MS).catch(() => {
        const [missing, extra] = [
          expected.filter((body) => !seen.includes(body)),
          seen.filter((body, at) => !expected.includes(body) || seen.indexOf(body) !== at),
        ];
        throw new Error(
          `the log is wrong: ${seen.length} messages for ${expected.length}; missing ${JSON.stringify(missing.slice(0, 10))}, ` +
            `too many ${JSON.stringify(extra.slice(0, 10))}; it ends with ${JSON.stringify(seen.slice(-5))}`,
        );
      });
    },
    /** Chooses from the menu of a message. */
    choose,
    /** Rewrites one's last message, with the keyboard. */
    async editLast(better: string) {
      await composer.press('ArrowUp');
      const box = log.getByRole('textbox', { name: labels.edit });
      await box.fill(better);
      await box.press('Enter');
      await box.waitFor({ state: 'detached' });
    },
    async remove(body: string) {
      await choose(body, labels.remove);
      const sure = page.getByRole('dialog', { name: labels.removeSure });
      await sure.getByRole('button', { name: labels.remove }).click();
      await sure.waitFor({ state: 'hidden' });
    },
    /** The dialog in which moderators act on the author of a message. */
    async openModeration(body: string): Promise<Locator> {
      await choose(body, labels.moderate);
      const dialog = page.getByRole('dialog', { name: labels.moderate });
      await dialog.waitFor();
      return dialog;
    },
    async mute(body: string, reason: string) {
      const dialog = await this.openModeration(body);
      await dialog.getByRole('radio', { name: labels.mute }).check();
      await dialog.getByRole('textbox', { name: labels.reason }).fill(reason);
      await dialog.getByRole('button', { name: labels.mute }).click();
      await dialog.getByRole('status').filter({ hasText: labels.mute }).waitFor();
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
    },
    problem: log.getByRole('alert'),
  };
}

function atHome(page: Page, labels: Labels) {
  const people = page.getByRole('region', { name: labels.atHome }).getByRole('listitem');
  return {
    /** The line of a person in the list of who is in the city. */
    person: (name: string): Locator => people.filter({ has: page.getByText(name, { exact: true }) }),
    feed: page.getByRole('region', { name: labels.feed }).getByRole('listitem'),
  };
}

function withSecondMe(page: Page, labels: Labels, url: string) {
  const talk = page.getByRole('region', { name: labels.conversation }).getByRole('listitem');
  return {
    talk,
    async openSecondMe() {
      await page.goto(`${url}/#/me`);
      await page.getByRole('textbox', { name: labels.prompt }).waitFor();
    },
    async ask(prompt: string) {
      await page.getByRole('textbox', { name: labels.prompt }).fill(prompt);
      await page.getByRole('button', { name: labels.ask, exact: true }).click(); // Enter is a new line on phones
    },
    /** Waits until Second Me has said exactly this so far. */
    hears: (text: string) => talk.getByText(text, { exact: true }).first().waitFor(),
    stopButton: page.getByRole('button', { name: labels.stop }),
  };
}

function atInspector(page: Page, labels: Labels, url: string) {
  return {
    async openInspector() {
      await page.goto(`${url}/inspect`);
      await page.getByText(labels.whole).waitFor();
    },
    press: (button: 'cut' | 'reconnect' | 'fiveWrite') =>
      page.getByRole('button', { name: labels[button], exact: true }).click(),
    /** Waits until the inspector says so. */
    verdict: (text: string | RegExp) => page.getByText(text).first().waitFor(),
  };
}

/**
 * No element of the page is of these kinds, and text that overrides the direction (U+202E) stands alone in a box, or in
 * isolating characters, so that it turns nothing but itself.
 */
const INJECTED = `(() => {
  const kinds = 'img, iframe, script, object, embed, [onerror], [onload], a[href^="javascript"]';
  const found = [...document.body.querySelectorAll(kinds)].map((element) => element.outerHTML);
  if ('pwned' in globalThis) found.push('a script of a stranger has run');
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode;
    if (!data.includes('\\u202e') || parentElement.closest('.hidden')) continue;
    let box = parentElement;
    const style = () => getComputedStyle(box);
    while (style().display === 'inline' && !/isolate|plaintext/.test(style().unicodeBidi)) box = box.parentElement;
    const rest = box.textContent.replace(/\\u2068.*?\\u2069/gs, '').split('\\u202e').slice(1).join('');
    if (rest.trim() && !HOSTILE.includes(box.textContent)) found.push('not isolated: ' + box.outerHTML);
  }
  return found;
})()`;

const HIDE = `(hidden) => {
  Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => (hidden ? 'hidden' : 'visible') });
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange'));
}`;

const NETWORK = /net::ERR_|status of 408|WebSocket connection to .* failed|ERR_INTERNET_DISCONNECTED/;

/** Collects what a healthy page never does: errors in the console, uncaught ones, refusals of the CSP, dialogs. */
async function watch(page: Page, faults: Faults): Promise<void> {
  const note = (what: string) => {
    if (!(faults.networkExpected && NETWORK.test(what))) faults.seen.push(`${page.url()}: ${what}`);
  };
  page.on('console', (line) => line.type() === 'error' && note(line.text()));
  page.on('pageerror', (error) => note(`uncaught ${error.stack ?? error.message}`));
  page.on('dialog', (dialog) => {
    note(`a ${dialog.type()} dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.addInitScript(
    "document.addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.effectiveDirective} ${e.blockedURI}`))",
  );
}
