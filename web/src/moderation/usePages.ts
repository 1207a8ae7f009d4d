/** A list that is read page by page, newest first. */
import { useCallback, useEffect, useState } from 'react';
import { asCityError, type CityError } from '../../../src/client/index.ts';

export const PAGE = 30;

/** `load` must stay the same function while it reads the same list. */
export function usePages<T extends { readonly id: string }>(load: (before?: string) => Promise<T[]>) {
  const [items, setItems] = useState<readonly T[] | null>(null);
  const [more, setMore] = useState(false);
  const [error, setError] = useState<CityError | null>(null);
  const last = items?.at(-1)?.id;

  const read = useCallback(
    async (before?: string) => {
      setError(null);
      try {
        const page = await load(before);
        setItems((known) => (before === undefined ? page : [...(known ?? []), ...page]));
        setMore(page.length >= PAGE);
      } catch (failure) {
        setError(asCityError(failure));
      }
    },
    [load],
  );

  useEffect(() => void read(), [read]);

  return {
    items,
    more,
    error,
    again: () => void read(),
    earlier: () => void read(last),
    drop: (id: string) => setItems((known) => known?.filter((item) => item.id !== id) ?? null),
  };
}
