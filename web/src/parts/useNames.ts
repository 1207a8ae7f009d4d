/** The display names of users and agents, as far as they are known. */
import { useCity, useStore } from '../../../src/client/react.ts';

/** Looks a name up by id; what it is used in is drawn again when more names become known. */
export function useNameOf(): (id: string) => string {
  const city = useCity();
  useStore(city.names);
  return (id) => city.nameOf(id);
}
