/** The examples for browsers, as their READMEs open them, on a server of static files and a city of two nodes. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import express from 'express';
import { join } from 'node:path';
import { createHttpServer } from '../../src/platform/http-server.ts';
import { stageSuite } from '../browser/suite.ts';
import { until } from '../support/until.ts';

const ROOT = join(import.meta.dirname, '../..');

stageSuite('the examples in a browser', { RATE_LIMITS: 'off' }, (stage) => {
  const app = express().use(express.static(ROOT));
  app.get('/favicon.ico', (_request, response) => void response.status(204).end());
  const files = createHttpServer(app);
  let site: string;
  beforeAll(async () => {
    site = `http://localhost:${await files.listen(0)}`;
  });
  afterAll(() => files.close());

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
});
