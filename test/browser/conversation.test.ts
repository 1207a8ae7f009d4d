/** People at browsers on two nodes: they talk, reload, lose answers, miss a lot, open a second tab, step away and return. */
import { expect, it } from '@jest/globals';
import { until } from '../support/until.ts';
import { stageSuite } from './suite.ts';

const numbered = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${what} ${i + 1}`);

stageSuite('people at browsers on two nodes', { RATE_LIMITS: 'off' }, (stage) => {
  it('talk: each sees the other typing, and both read one order', async () => {
    const slug = await stage().room('Кавʼярня на розі');
    const [olena, taras] = await Promise.all([
      stage().visit({ name: 'Олена' }),
      stage().visit({ name: 'Taras' }, { node: 1, lang: 'en' }),
    ]);
    await Promise.all([olena.openRoom(slug), taras.openRoom(slug)]);

    await olena.composer.pressSequentially('Привіт');
    await taras.seesTyping('Олена');
    await olena.composer.press('Enter');
    await taras.reads('Привіт');
    await taras.composer.pressSequentially('Hello');
    await olena.seesTyping('Taras');
    await taras.composer.press('Enter');
    await olena.reads('Hello');

    await Promise.all([olena.say(...numbered('Олена', 6)), taras.say(...numbered('Taras', 6))]);
    await Promise.all([olena.reads('Taras 6'), taras.reads('Олена 6')]);
    const stored = await stage().stored(slug);
    expect(stored).toHaveLength(14);
    await Promise.all([olena.readsExactly(stored), taras.readsExactly(stored)]);
  });

  it('a reload in mid-conversation loses nothing and shows nothing twice', async () => {
    const slug = await stage().room('Перезавантаження');
    const olena = await stage().visit({ name: 'Олена' });
    await olena.openRoom(slug);
    await olena.say('Я тут');
    // Her page shows it before it is stored.
    await until(async () => (await stage().stored(slug)).length === 1, 'it is stored');

    const said = numbered('Тарас', 40);
    await stage().write(slug, 'Тарас', said.slice(0, 7), 1);
    const reloading = olena.page.reload();
    await stage().write(slug, 'Тарас', said.slice(7, 30), 1);
    await reloading;
    await stage().write(slug, 'Тарас', said.slice(30), 1); // while it joins, or live
    await olena.reads('Тарас 40');
    await olena.readsExactly(['Я тут', ...numbered('Тарас', 40)]);
  });

  it('a message whose answer is lost is sent once', async () => {
    const slug = await stage().room('Зникла відповідь');
    const line = await stage().line();
    const [olena, taras] = await Promise.all([
      stage().visit({ name: 'Олена' }, { line }),
      stage().visit({ name: 'Тарас' }, { node: 1 }),
    ]);
    await Promise.all([olena.openRoom(slug), taras.openRoom(slug)]);
    await olena.composer.fill('Чи дійшло?');
    await taras.seesTyping('Олена');

    olena.faults.networkExpected = true;
    const cut = line.cutAfter(1, 'to_client'); // the first byte that says it arrived
    await olena.composer.press('Enter');
    await cut;
    await olena.say('А це?');
    await taras.reads('А це?');
    expect(await stage().stored(slug)).toEqual(['Чи дійшло?', 'А це?']);
    await Promise.all([olena, taras].map((person) => person.readsExactly(['Чи дійшло?', 'А це?'])));
  });

  it('more than a page of missed messages is all there after the return', async () => {
    const slug = await stage().room('Довга відсутність');
    const line = await stage().line();
    const olena = await stage().visit({ name: 'Олена' }, { line });
    await olena.openRoom(slug);
    await olena.say('Скоро повернусь');
    await olena.reads('Скоро повернусь');

    olena.faults.networkExpected = true;
    line.refuse();
    await olena.lost.waitFor();
    await stage().flood(slug, 'Тарас', numbered('Тарас', 1_100), 1); // a join brings 1,000
    line.pass();
    await olena.reconnect();
    const stored = await stage().stored(slug);
    expect(stored).toHaveLength(1_101);
    await olena.reads(stored.at(-1)!);
    await olena.readsExactly(stored);
  });

  it('two tabs of one person both see everything once, and closing one keeps the person online', async () => {
    const slug = await stage().room('Дві вкладки');
    const first = await stage().visit({ name: 'Олена' });
    const [second, taras, marko] = await Promise.all([
      stage().visit({ name: 'Олена' }, { besides: first }),
      stage().visit({ name: 'Тарас' }, { node: 1 }),
      stage().visit({ name: 'Марко' }),
    ]);
    await Promise.all([first, second, marko].map((tab) => tab.openRoom(slug)));
    await first.say('З першої');
    await second.reads('З першої');
    await second.say('З другої');
    await first.reads('З другої');
    await Promise.all([first, second].map((tab) => tab.readsExactly(['З першої', 'З другої'])));

    await taras.goHome();
    await marko.say('І я тут');
    await Promise.all(['Олена', 'Марко'].map((name) => taras.person(name).waitFor()));
    // Марко leaves after the tab: once he is seen to be gone, so would she be.
    await second.leave();
    await marko.leave();
    await taras.person('Марко').waitFor({ state: 'detached' });
    expect(await taras.person('Олена').count()).toBe(1);
    await first.presence('online');
    await first.say('Я ще тут');
    await first.readsExactly(['З першої', 'З другої', 'І я тут', 'Я ще тут']);
  });

  it('is away after five minutes without input or one in a hidden tab, for the others too, until the return', async () => {
    const [olena, taras] = await Promise.all([
      stage().visit({ name: 'Олена' }, { clock: true }),
      stage().visit({ name: 'Тарас' }, { node: 1 }),
    ]);
    await Promise.all([olena.presence('online'), taras.goHome()]);
    const away = taras.person('Олена').getByText(taras.labels.away);
    await taras.person('Олена').waitFor();
    expect(await away.count()).toBe(0);

    await olena.page.clock.fastForward('05:00');
    await olena.presence('away');
    await away.waitFor();
    await olena.page.mouse.move(200, 200);
    await olena.presence('online');
    await away.waitFor({ state: 'detached' });
    await taras.person('Олена').waitFor();

    await olena.hide(true);
    await olena.page.clock.fastForward('01:00');
    await away.waitFor();
    await olena.hide(false);
    await away.waitFor({ state: 'detached' });
    await taras.person('Олена').waitFor();
  });
});
