/** The rest of the city in a browser: Second Me, moderators, strangers with bad intentions, and how all of it looks. */
import { expect, it } from '@jest/globals';
import { serious } from './axe.ts';
import { ARTEFACTS, populate, shoot } from './scene.ts';
import { stageSuite } from './suite.ts';

stageSuite('the city in a browser', { RATE_LIMITS: 'off' }, (stage) => {
  it('Second Me speaks as it thinks, and stops when it is told to', async () => {
    const { agents } = stage();
    const olena = await stage().visit({ name: 'Олена' });
    await olena.openSecondMe();
    await olena.ask('Що сьогодні в місті?');
    const first = await agents.next();
    expect(first.input).toBe('Що сьогодні в місті?');
    for (const [more, text] of [
      ['Сьогодні', 'Сьогодні'],
      [' ярмарок', 'Сьогодні ярмарок'],
      [' на площі.', 'Сьогодні ярмарок на площі.'],
    ] as const) {
      first.say(more);
      await olena.hears(text);
      expect(await olena.stopButton.count()).toBe(1);
    }
    first.done();
    await olena.stopButton.waitFor({ state: 'detached' });
    await olena.hears('Сьогодні ярмарок на площі.');

    await olena.ask('А завтра?');
    const second = await agents.next();
    second.say('Завтра буде');
    await olena.hears('Завтра буде');
    await olena.stopButton.click();
    await second.closed; // the caller has hung up
    await olena.page.getByText(olena.labels.stopped).waitFor();
    await olena.stopButton.waitFor({ state: 'detached' });

    await olena.page.reload();
    await olena.hears('Сьогодні ярмарок на площі.');
    expect(await olena.talk.filter({ hasText: 'Завтра буде' }).count()).toBe(0);
  });

  it('a moderator deletes a message and mutes its author, who is told so calmly', async () => {
    const slug = await stage().room('Площа');
    const [marta, hnat, solomiia] = await Promise.all([
      stage().visit({ name: 'Марта', roles: ['moderator'] }),
      stage().visit({ name: 'Гнат' }, { node: 1 }),
      stage().visit({ name: 'Соломія' }, { node: 1 }),
    ]);
    await Promise.all([marta, hnat, solomiia].map((person) => person.openRoom(slug)));
    await hnat.say('КУПУЙТЕ ЗАРАЗ', 'ЛИШЕ СЬОГОДНІ');
    await Promise.all([marta, solomiia].map((person) => person.reads('ЛИШЕ СЬОГОДНІ')));

    await marta.remove('КУПУЙТЕ ЗАРАЗ');
    for (const person of [marta, hnat, solomiia]) await person.readsExactly(['', 'ЛИШЕ СЬОГОДНІ']);
    await marta.mute('ЛИШЕ СЬОГОДНІ', 'реклама');

    await hnat.say('ЩЕ Є');
    await hnat.problem.getByText(hnat.labels.muted).waitFor();
    await solomiia.say('Тиша!');
    for (const person of [marta, solomiia]) await person.readsExactly(['', 'ЛИШЕ СЬОГОДНІ', 'Тиша!']);
    // He may go on reading, and keeps what he wrote.
    await hnat.readsExactly(['', 'ЛИШЕ СЬОГОДНІ', 'Тиша!', 'ЩЕ Є']);
  });

  it('what a stranger writes stays text, in messages and in names', async () => {
    const image = '<img src=x onerror="globalThis.pwned=1">';
    const script = '<script>globalThis.pwned=1</script>';
    const override = 'Мирна людина\u202e'; // turns round what follows it
    const first = '\u2066\u202eнавпаки';
    const edited = '\u202eзмінене';
    const bodies = [
      image,
      script,
      '"><svg onload="globalThis.pwned=1"><iframe srcdoc="<script>parent.pwned=1</script>">',
      '[тут](javascript:globalThis.pwned=1) javascript:globalThis.pwned=1',
      '{{constructor.constructor("globalThis.pwned=1")()}}',
      'рахунок-\u202egnp.exe',
    ];
    const slug = await stage().room(`${image}\u202e`);
    await stage().write(slug, image, bodies);
    await stage().write(slug, override, [first]);
    const [olena, stranger, third] = await Promise.all([
      stage().visit({ name: 'Олена' }),
      stage().visit({ name: image, roles: ['citizen'] }, { node: 1 }),
      stage().visit({ name: override, roles: ['citizen'] }, { node: 1 }),
    ]);
    const hostile = [image, script, override, ...bodies, first, edited];
    const people = [olena, stranger, third];
    await Promise.all(people.map((person) => person.openRoom(slug)));
    await third.editLast(edited);
    await third.composer.pressSequentially('пише');
    await olena.seesTypingAnybody();
    const expected = [...bodies, edited];
    await olena.readsExactly(expected);
    for (const person of people) expect(await person.injected(hostile)).toEqual([]);
    await stranger.say(script);
    await olena.readsExactly([...expected, script]);

    await Promise.all([olena, stranger].map((person) => person.goHome()));
    await olena.feed.getByText(script, { exact: true }).first().waitFor();
    await olena.person(image).waitFor();
    for (const person of [olena, stranger]) expect(await person.injected(hostile)).toEqual([]);
  });

  it('the inspector shows what a cut connection missed, and that it was replayed', async () => {
    const olena = await stage().arrive();
    await olena.openInspector();
    await olena.press('cut');
    await olena.press('fiveWrite');
    await olena.verdict(olena.labels.missed(5));
    await olena.press('reconnect');
    await olena.verdict(olena.labels.replayed(5));
    await olena.verdict(olena.labels.whole);
  });

  it('is free of serious accessibility faults, by day and by night, and is photographed', async () => {
    const scene = await populate(stage());
    const faults: string[] = [];
    for await (const { place, visitor } of shoot(stage(), scene, ARTEFACTS)) {
      for (const fault of await serious(visitor.page)) faults.push(`${place}: ${fault}`);
    }
    scene.end();
    process.stderr.write(`screenshots of the City page: ${ARTEFACTS}\n`);
    expect(faults).toEqual([]);
  });
});
