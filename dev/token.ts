/** `npm run token -- --user u_alice [--name Alice] [--role admin]… [--hours 24]`: prints a development token. */
import { Role } from '../src/contract/auth.ts';
import { CallerId } from '../src/contract/primitives.ts';
import { exitWrong, readOptions } from './arguments.ts';
import { developmentToken } from './development-token.ts';

const { user, name, role, hours } = readOptions({
  user: { type: 'string' },
  name: { type: 'string' },
  role: { type: 'string', multiple: true },
  hours: { type: 'string', default: '24' },
});

if (!CallerId.safeParse(user).success) {
  exitWrong('--user must be u_… or svc_… with 1 to 64 letters, digits, _ or -, such as u_alice');
}
const roles = Role.array().safeParse(role ?? []);
if (!roles.success) exitWrong(`--role must be one of ${Role.options.join(', ')}`);
if (!(Number(hours) > 0 && Number(hours) <= 87_600))
  exitWrong('--hours must be a number above 0, at most 87600');

const claims = {
  user_id: user!,
  ...(name !== undefined && { name }),
  ...(roles.data.length > 0 && { roles: roles.data }),
};
console.log(await developmentToken(claims, Number(hours)));
