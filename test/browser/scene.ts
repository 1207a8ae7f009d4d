/** An evening in the city for the pictures: people, their talk, and a camera that goes round the places of the page. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Role } from '../../src/contract/auth.ts';
import { userIdFor } from '../../web/src/text.ts';
import { connect } from '../support/sockets.ts';
import type { TestSocket } from '../support/sockets.ts';
import type { Stage } from './stage.ts';
import type { Visitor } from './visitor.ts';

/** Where a run of the tests leaves its pictures. */
export const ARTEFACTS = fileURLToPath(new URL('../../test-artifacts/browser', import.meta.url));

const CAFE = 'Кав’ярня на розі';
const SLUG = 'kavyarnya';

/** Who sits where. */
const INSIDE: readonly [name: string, slug: string][] = [
  ['Тарас Мельник', SLUG],
  ['Соломія Гнатюк', SLUG],
  ['Богдан Лисенко', SLUG],
  ['Ірина Савчук', 'builders'],
  ['Назар Поліщук', 'builders'],
  ['Дарина Кравець', 'general'],
  ['Юрко Білик', 'science'],
];
const AWAY = 'Дарина Кравець';

const TALK: readonly [slug: string, name: string, body: string][] = [
  [
    'general',
    'Дарина Кравець',
    'Доброго вечора, місто! Хто сьогодні йде на набережну дивитися на ліхтарики?',
  ],
  ['general', 'Юрко Білик', 'Я йду. Зустрічаймося о сьомій біля старого млина.'],
  ['builders', 'Ірина Савчук', 'Схему водогону оновлено: тепер видно, де стоїть кожен насос.'],
  ['builders', 'Назар Поліщук', 'Чудово. Завтра перевірю тиск на Лівому березі й допишу звіт.'],
  [
    'science',
    'Юрко Білик',
    'Телескоп налаштовано. У п’ятницю о 22:00 дивимося на кільця Сатурна, місць вистачить усім.',
  ],
  [SLUG, 'Соломія Гнатюк', 'Спекла сирник із чорницею. Хто перший, тому найбільший шматок.'],
  [SLUG, 'Тарас Мельник', 'Уже біжу! Тримай мені місце біля вікна ☕'],
  [SLUG, 'Богдан Лисенко', 'А я приніс платівку Квітки Цісик. Поставимо після восьмої?'],
  [SLUG, 'Соломія Гнатюк', 'Так, і тихенько, бо нагорі вкладають малу.'],
  [
    SLUG,
    'Тарас Мельник',
    'До речі, майстерня на Подолі шукає волонтерів на суботу: лагодимо лавки в саду. Інструменти є, потрібні руки й добрий настрій.',
  ],
  [SLUG, 'Богдан Лисенко', 'Запиши мене. І сусіда теж приведу.'],
];

const SPAM = 'Купуй монети лише сьогодні, пиши в особисті!';

const ME = 'Олена Коваль';
const QUESTION = 'Склади мені план на суботу: хочу допомогти з лавками й устигнути на набережну.';
const ANSWER =
  'Ось спокійний план. О 10:00 майстерня на Подолі: лавки в саду, до обіду впораєтеся. О 13:00 обід у кав’ярні на розі, ' +
  'Соломія якраз пече сирник. О 16:00 відпочинок, а о 19:00 старий млин: звідти всі йдуть на набережну з ліхтариками.';

export interface Scene {
  slug: string;
  /** Lets the people go home. */
  end(): void;
}

/** Fills the city with people and their talk. */
export async function populate(stage: Stage): Promise<Scene> {
  await stage.room(CAFE, SLUG);
  const [spam] = await stage.write('general', 'Швидкий Заробіток', [SPAM]);
  for (const [slug, name, body] of TALK) await stage.write(slug, name, [body]);
  const dutiful = await stage.rest(userIdFor(AWAY), { name: AWAY });
  await dutiful('POST', '/city/reports', {
    room_id: 'general',
    message_id: spam!.id,
    reason: 'Реклама, третя за день.',
  });
  const sockets: TestSocket[] = [];
  for (const [name, slug] of INSIDE) {
    const token = await stage.token(userIdFor(name), { name });
    const [rooms, presence] = await Promise.all(
      ['/rooms', '/presence'].map((namespace) => connect(stage.url() + namespace, token)),
    );
    sockets.push(rooms!, presence!);
    await rooms!.call('room.join', { room_id: slug });
    if (name === AWAY) await presence!.call('presence.heartbeat', { status: 'away' });
  }
  return { slug: SLUG, end: () => sockets.forEach((socket) => socket.close()) };
}

/** Goes round the places on a desktop, by day and by night, and with a phone; saves `<place>-<look>.png` of each in `folder`. */
export async function* shoot(
  stage: Stage,
  { slug }: Scene,
  folder: string,
): AsyncGenerator<{ place: string; visitor: Visitor }> {
  await mkdir(folder, { recursive: true });
  const last = TALK.at(-1)![2];
  // The phone first: the inspector, at the end, leaves messages behind.
  for (const device of ['phone', 'desktop'] as const) {
    const visitor = await stage.arrive({ phone: device === 'phone' });
    const take = async function* (name: string) {
      for (const look of device === 'phone' ? ['phone'] : ['desktop', 'dark']) {
        await visitor.page.emulateMedia({ colorScheme: look === 'dark' ? 'dark' : 'light' });
        const place = `${name}-${look}`;
        await visitor.page.screenshot({ path: join(folder, `${place}.png`) });
        yield { place, visitor };
      }
      await visitor.page.emulateMedia({ colorScheme: 'light' });
    };

    yield* take('sign-in');
    const me = { name: ME, roles: ['admin'] as Role[] };
    await visitor.signInWith(await stage.token(userIdFor(ME), me));
    await visitor.goHome();
    await visitor.person(AWAY).waitFor();
    yield* take('home');

    await visitor.openRoom(slug);
    await visitor.reads(last);
    yield* take('room');
    const dialog = await visitor.openModeration(last);
    yield* take('moderation');
    await visitor.page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });

    await visitor.openSecondMe();
    await visitor.ask(QUESTION);
    const call = await stage.agents.next();
    call.say(ANSWER);
    await visitor.hears(ANSWER);
    yield* take('second-me');
    call.done();
    await visitor.stopButton.waitFor({ state: 'detached' });

    await visitor.openDesk();
    await visitor.page.getByText(SPAM).waitFor();
    yield* take('desk');

    if (device === 'phone') continue; // it is a tool of the desk
    await visitor.openInspector();
    await visitor.press('cut');
    await visitor.press('fiveWrite');
    await visitor.verdict(visitor.labels.missed(5));
    await visitor.press('reconnect');
    await visitor.verdict(visitor.labels.replayed(5));
    yield* take('inspect');
  }
}
