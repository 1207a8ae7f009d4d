/** Half a minute without a connection: nothing that the others said is missing afterwards, and what was written is sent once. */
import { expect, it } from '@jest/globals';
import { until } from '../support/until.ts';
import { stageSuite } from './suite.ts';

const OFFLINE_MS = 30_000;
/** More than the 50 that a page without a past would load. */
const MISSED = 120;

const missed = Array.from({ length: MISSED }, (_, i) => `Повз станцію ${i + 1}`);

stageSuite('30 s offline', { RATE_LIMITS: 'off' }, (stage) => {
  it('ends with nothing missing and nothing sent twice, whether the line was cut or went silent', async () => {
    const slug = await stage().room('Вокзал');
    const [cut, silent] = [await stage().line(0), await stage().line(1)];
    const [olena, marko, taras] = await Promise.all([
      stage().visit({ name: 'Олена' }, { line: cut }),
      stage().visit({ name: 'Марко' }, { line: silent }),
      stage().visit({ name: 'Тарас' }, { node: 1 }),
    ]);
    const everybody = [olena, marko, taras];
    await Promise.all(everybody.map((person) => person.openRoom(slug)));
    await olena.say('Заходжу в тунель');
    await Promise.all(everybody.map((person) => person.reads('Заходжу в тунель')));
    const [edited, deleted] = await stage().write(slug, 'Тарас', ['Це я зміню', 'Це я видалю'], 1);
    await Promise.all(everybody.map((person) => person.reads('Це я видалю')));

    olena.faults.networkExpected = marko.faults.networkExpected = true;
    const began = Date.now();
    await olena.context.setOffline(true);
    cut.refuse();
    silent.blackhole();
    await olena.say('Пишу в тунелі', 'І ще раз');
    await marko.say('Мене чути?');
    await olena.lost.waitFor();
    await until(async () => (await olena.unsent.count()) === 2, 'two messages wait');
    await stage().write(slug, 'Тарас', missed, 1);
    const rest = await stage().rest('u_taras', { name: 'Тарас' }, 1);
    const path = `/city/rooms/${slug}/messages`;
    await rest('PATCH', `${path}/${edited!.id}`, { body: 'Це я змінив' });
    await rest('DELETE', `${path}/${deleted!.id}`);
    await until(() => Date.now() - began >= OFFLINE_MS, 'half a minute', OFFLINE_MS);
    expect(await stage().stored(slug)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/тунелі|ще раз|чути/)]),
    );

    cut.pass();
    silent.pass();
    await olena.context.setOffline(false);
    await Promise.all(['І ще раз', 'Мене чути?'].map((body) => taras.reads(body)));
    await olena.lost.waitFor({ state: 'hidden' });
    await until(async () => (await olena.unsent.count()) === 0, 'nothing waits');
    const stored = await stage().stored(slug);
    expect(stored.slice(0, MISSED + 3)).toEqual(['Заходжу в тунель', 'Це я змінив', '', ...missed]);
    const late = stored.slice(MISSED + 3);
    expect(late.filter((body) => body !== 'Мене чути?')).toEqual(['Пишу в тунелі', 'І ще раз']);
    expect(late).toHaveLength(3);
    await Promise.all(everybody.map((person) => person.readsExactly(stored)));
  });
});
