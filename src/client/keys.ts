/** Keys under which a repeated request is recognised. */

/** 24 characters of `[a-z0-9]`, also where a page without TLS has no `crypto.randomUUID`. */
export function createKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return Array.from(bytes, (byte) => (byte % 36).toString(36)).join('');
}
