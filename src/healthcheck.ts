/** The container's health check: asks this machine's node whether it is ready. */
import { readHealthUrl } from './config.ts';

try {
  const { ok } = await fetch(readHealthUrl(), { signal: AbortSignal.timeout(2_000) });
  process.exitCode = ok ? 0 : 1;
} catch {
  process.exitCode = 1;
}
