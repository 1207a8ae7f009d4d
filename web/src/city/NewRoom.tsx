/** The form that opens a new room. */
import { useState, type FormEvent } from 'react';
import type { Room } from '../../../src/client/index.ts';
import { useCity } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Problem } from '../parts/Problem.tsx';
import { Title } from '../parts/Title.tsx';
import { useAct } from '../parts/useAct.ts';
import { go, roomHref } from '../route.ts';
import { isBlank, storable } from '../text.ts';

const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;

export function NewRoom() {
  const { t } = useWords();
  const city = useCity();
  const [name, setName] = useState('');
  const [slug, setSlug] = useState('');
  const [description, setDescription] = useState('');
  const [tried, setTried] = useState(false);
  const { busy, error, run } = useAct();

  const nameBad = isBlank(name);
  const slugBad = slug !== '' && !SLUG.test(slug);

  async function create(event: FormEvent) {
    event.preventDefault();
    setTried(true);
    if (nameBad || slugBad) return;
    let room: Room | undefined;
    await run(async () => {
      room = await city.rest.createRoom({
        name: storable(name.trim()),
        ...(slug ? { slug } : {}),
        ...(isBlank(description) ? {} : { description: storable(description.trim()) }),
      });
    });
    if (!room) return;
    void city.rooms.refresh();
    go(roomHref(room.slug));
  }

  const exists = error?.code === 'room_exists';
  const noSlug = slug === '' && error?.errors.some(({ message }) => message.includes('slug'));
  return (
    <div className="sheet">
      <Title text={t('new.title')} />
      <p className="lead">{t('new.lead')}</p>
      <form onSubmit={(event) => void create(event)} noValidate>
        <label className="field">
          <span>{t('new.name')}</span>
          <input
            value={name}
            maxLength={80}
            onChange={(event) => setName(event.target.value)}
            aria-invalid={tried && nameBad}
            aria-describedby="new-name-hint"
          />
        </label>
        <p id="new-name-hint" className={tried && nameBad ? 'problem' : 'hidden'}>
          {tried && nameBad ? t('new.nameBad') : ''}
        </p>
        <label className="field">
          <span>
            {t('new.description')} <i>{t('new.optional')}</i>
          </span>
          <textarea
            rows={3}
            value={description}
            maxLength={500}
            onChange={(event) => setDescription(event.target.value)}
          />
        </label>
        <label className="field">
          <span>
            {t('new.slug')} <i>{t('new.optional')}</i>
          </span>
          <input
            value={slug}
            maxLength={64}
            spellCheck={false}
            autoCapitalize="none"
            autoComplete="off"
            onChange={(event) => setSlug(event.target.value.trim().toLowerCase())}
            aria-invalid={slugBad || exists}
            aria-describedby="new-slug-hint"
          />
        </label>
        <p id="new-slug-hint" className={slugBad ? 'problem' : 'hint'}>
          {slugBad ? t('new.slugBad') : t('new.slugHint')}
        </p>
        {exists && (
          <p className="problem" role="alert">
            {t('new.exists')} {slug && <a href={roomHref(slug)}>{t('new.visit')}</a>}
          </p>
        )}
        {noSlug && (
          <p className="problem" role="alert">
            {t('new.noSlug')}
          </p>
        )}
        {error && !exists && !noSlug && <Problem error={error} />}
        <button type="submit" className="primary" disabled={busy}>
          {t('new.create')}
        </button>
      </form>
    </div>
  );
}
