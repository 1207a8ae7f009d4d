/** What `npm run dev` says when the city is up. */
import { developmentToken } from './development-token.ts';
import type { Ports } from './ports.ts';

const TOKEN_HOURS = 30 * 24;

/**
 * The addresses, a token to begin with, and three lines that use it. `urls` are the parts that were started here, by
 * the variable that names each; `signs` is false when the city verifies with somebody else's key.
 */
export async function announcement(
  ports: Ports[],
  urls: Record<string, string>,
  signs: boolean,
): Promise<string> {
  const addresses = ports.map(({ port, opsPort }) => ({
    city: `http://localhost:${port}`,
    ops: opsPort === 0 ? '' : `   operations http://localhost:${opsPort}`,
  }));
  const first = addresses[0]?.city;
  const token = signs
    ? await developmentToken({ user_id: 'u_dev', name: 'Dev', roles: ['admin'] }, TOKEN_HOURS)
    : undefined;
  const row = (name: string, value: string) => `  ${name.padEnd(20)}${value}`;
  return [
    '',
    'DAARION City is up.',
    '',
    ...addresses.map(({ city, ops }, i) => row(`city-${i + 1}`, city + ops)),
    row('API docs', `${first}/docs`),
    ...Object.entries(urls).map(([name, url]) => row(name, url)),
    '',
    ...(token
      ? ['Token of u_dev (admin, 30 days):', '', token]
      : ['Tokens are signed by whoever holds the key of JWT_JWKS_URL or JWT_PUBLIC_KEY.']),
    '',
    'To try it, run "node --input-type=module" in this folder, paste this, and press Ctrl-D:',
    '',
    `import { io } from 'socket.io-client';`,
    `const rooms = io('${first}/rooms', { auth: { token: '${token ?? '<token>'}' } });`,
    `rooms.on('room.message', console.log).emit('room.join', { room_id: 'room_city_general' }, console.log);`,
    '',
    'Ctrl-C stops everything.',
    '',
  ].join('\n');
}
