/** A call that a button makes: whether it is under way, and how it failed. */
import { useCallback, useState } from 'react';
import { asCityError, type CityError } from '../../../src/client/index.ts';

export function useAct() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<CityError | null>(null);

  /** Runs `act`; true when it succeeded. One at a time: a second press does nothing. */
  const run = useCallback(
    async (act: () => Promise<unknown>): Promise<boolean> => {
      if (busy) return false;
      setBusy(true);
      setError(null);
      try {
        await act();
        return true;
      } catch (failure) {
        setError(asCityError(failure));
        return false;
      } finally {
        setBusy(false);
      }
    },
    [busy],
  );

  return { busy, error, run };
}
