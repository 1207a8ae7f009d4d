/** Tokens for anybody, from a city that runs for development. */
import type { Role } from '../contract/auth.ts';
import { pageOrigin } from './page.ts';
import { createRest } from './rest.ts';

interface DevPerson {
  /** Where the city is; the page's own origin when absent. */
  url?: string;
  user_id: string;
  name?: string;
  roles?: Role[];
}

/** A `getToken` for `createCityClient`. Its calls reject with a CityError; `not_found` where the city is in production. */
export function devTokens({ url = pageOrigin() ?? '', ...person }: DevPerson): () => Promise<string> {
  const rest = createRest(url, null);
  return async () => (await rest.devToken(person)).token;
}
