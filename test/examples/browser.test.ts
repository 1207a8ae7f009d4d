/** The examples for browsers, as their READMEs open them, on a server of static files and a city of two nodes. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import express from 'express';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpServer } from '../../src/platform/http-server.ts';
import { stageSuite } from '../browser/suite.ts';
import { connect } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const ROOT = join(import.meta.dirname, '../..');

stageSuite('the examples in a browser', { RATE_LIMITS: 'off' }, (stage) => {
  const app = express().use(express.static(ROOT));
  app.get('/favicon.ico', (_request, response) => void response.status(204).end());
  const files = createHttpServer(app);
  let site: string;
  let built: string;
  beforeAll(async () => {
    built = await mkdtemp(join(tmpdir(), 'examples-'));
    app.use('/react', express.static(built));
    const { status, stderr } = spawnSync(
      'node_modules/.bin/vite',
      ['build', 'examples/react', '--base', './', '--outDir', built, '--emptyOutDir'],
      { cwd: ROOT, encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(`the React example was not built:\n${stderr}`);
    site = `http://localhost:${await files.listen(0)}`;
  });
  afterAll(async () => {
    await files.close();
    await rm(built, { recursive: true });
  });

  it('one HTML file: two people talk, and nothing is missing or doubled after a lost connection', async () => {
    const slug = await stage().room('Майдан');
    const line = await stage().line(0);
    const open = async (name: string, city: string) => {
      const { page, faults } = await stage().arrive();
      await page.goto(`${site}/examples/browser/?city=${city}&name=${name}&room=${slug}`);
      await page.getByText(`live in Майдан as ${name}`).waitFor();
      const send = async (body: string) => {
        await page.getByLabel('Message', { exact: true }).fill(body);
        await page.getByRole('button', { name: 'Send' }).click();
      };
      const shown = () => page.getByRole('listitem').allInnerTexts();
      return { page, faults, send, shown };
    };
    const olena = await open('Olena', `http://localhost:${line.port}`);
    const taras = await open('Taras', stage().url(1));
    await olena.send('Хто тут?');
    await taras.page.getByText('Olena: Хто тут?').waitFor();
    await taras.send('<img src=x onerror=alert(1)>');
    await olena.page.getByText('Taras: <img').waitFor();

    olena.faults.networkExpected = true;
    line.refuse();
    await olena.page.getByText('connection lost').waitFor();
    const written = await stage().write(slug, 'Ганна', ['раз', 'два', 'три'], 1);
    const anna = await stage().rest('u_hanna', { name: 'Ганна' });
    await anna('DELETE', `/city/rooms/${slug}/messages/${written[1]!.id}`);
    await olena.send('Мене чути?');
    line.pass();
    await taras.page.getByText('Olena: Мене чути?').waitFor();

    const stored = await stage().stored(slug);
    expect(stored).toHaveLength(6);
    for (const { shown } of [olena, taras]) {
      await until(async () => (await shown()).length === 6, 'six messages');
      const bodies = (await shown()).map((text) => text.slice(text.indexOf(': ') + 2));
      expect(bodies).toEqual(stored.map((body) => (body === '' ? '(deleted)' : body)));
    }
    const asker = await stage().rest('u_asker');
    const { body } = await asker('GET', '/city/presence');
    expect(body.users.map(({ user_id }: { user_id: string }) => user_id).sort()).toEqual(
      expect.arrayContaining(['u_olena', 'u_taras']),
    );
  });

  it('React hooks: a room, people, the feed and Second Me, across a lost connection', async () => {
    const slug = await stage().room('Кавʼярня');
    const line = await stage().line(1);
    const { page, faults } = await stage().arrive();
    await page.goto(`${site}/react/?city=http://localhost:${line.port}&name=Marko&room=${slug}`);
    await page.getByRole('heading', { name: 'Кавʼярня (live)' }).waitFor();
    await page.getByRole('heading', { name: 'you are online' }).waitFor();
    const messages = () => page.getByRole('list', { name: 'Messages' }).getByRole('listitem').allInnerTexts();
    const write = async (label: string, text: string) => {
      await page.getByLabel(label, { exact: true }).fill(text);
      await page.getByLabel(label, { exact: true }).press('Enter');
    };
    const watcher = await connect(`${stage().url(0)}/rooms`, await stage().token('u_watcher'));
    await watcher.call('room.join', { room_id: slug });
    await write('Message', 'Дві кави');
    await page.getByText('Marko: Дві кави').waitFor();
    await watcher.next('room.typing', ({ user_ids }) => user_ids.includes('u_marko'));
    watcher.close();

    faults.networkExpected = true;
    line.refuse();
    await page.getByRole('status').filter({ hasText: 'lost' }).waitFor();
    await stage().write(slug, 'Ганна', ['Вже несу', 'І тістечко'], 0);
    await write('Message', 'Дякую');
    await page.getByText('Дякую …').waitFor();
    line.pass();
    await page.getByText('Marko: Дякую').waitFor();
    await until(async () => (await messages()).length === 4, 'four messages');
    expect(await messages()).toEqual([
      'Marko: Дві кави',
      expect.stringMatching(/: Вже несу$/),
      expect.stringMatching(/: І тістечко$/),
      'Marko: Дякую',
    ]);
    await page
      .getByRole('list', { name: 'Feed' })
      .getByText(`room_message in room_city_${slug}`)
      .nth(3)
      .waitFor();

    await write('Question', 'Скільки я винен?');
    const invocation = await stage().agents.next();
    invocation.say('Вісім');
    await page.getByText('Скільки я винен? → Вісім (running)').waitFor();
    invocation.say('десят.');
    invocation.done();
    await page.getByText('Скільки я винен? → Вісімдесят. (succeeded)').waitFor();
  });
});
