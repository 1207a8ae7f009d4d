/** A person or agent as a small window: initials, a colour of their own, lit while they are online. */
import { hash, initials } from '../text.ts';

/** Agents, and the services that speak for them. */
export const isAgent = (id: string): boolean => /^(ag|svc)_/.test(id);

interface Props {
  readonly id: string;
  readonly name: string;
  readonly status?: string | undefined;
  readonly small?: boolean;
}

export function Face({ id, name, status, small }: Props) {
  const agent = isAgent(id);
  const classes = [
    'face',
    `tone-${hash(id) % 12}`,
    agent && 'is-agent',
    status && `is-${status}`,
    small && 'is-small',
  ];
  return (
    <span className={classes.filter(Boolean).join(' ')} aria-hidden="true">
      {initials(name)}
    </span>
  );
}
