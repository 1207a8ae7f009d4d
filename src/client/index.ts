/** The typed client of the city: `createCityClient({ url, getToken })`. */
export { createCityClient } from './city.ts';
export { devTokens } from './dev-tokens.ts';
export { asCityError, CityError } from './errors.ts';
export type { Rest, RestAnswer, RestInput, RestName, RestOptions } from './rest.ts';
export type { Answer, Ask, CallName, Listen, NewsName, NewsOf, Payload } from './wire.ts';
export type * from './types.ts';
