/** The ports that the nodes of `npm run dev` take. */
import { createServer } from 'node:net';

export interface Ports {
  port: number;
  /** 0 for none. */
  opsPort: number;
}

/** The ports of `count` nodes, counted up from PORT and OPS_PORT; throws when one of them cannot be had. */
export async function portsOf(count: number): Promise<Ports[]> {
  const [first, firstOps] = [base('PORT', 7001), base('OPS_PORT', 7091)];
  const ports = Array.from({ length: count }, (_, i) => ({
    port: first + i,
    opsPort: firstOps === 0 ? 0 : firstOps + i,
  }));
  for (const { port } of ports) await checkFree('PORT', port);
  for (const { opsPort } of ports) if (opsPort !== 0) await checkFree('OPS_PORT', opsPort);
  const shared = ports.find(({ port }) => ports.some(({ opsPort }) => opsPort === port));
  if (shared) throw new Error(`Port ${shared.port} is wanted twice: set PORT or OPS_PORT further apart`);
  return ports;
}

function base(name: 'PORT' | 'OPS_PORT', fallback: number): number {
  const port = Number(process.env[name] || fallback);
  const least = name === 'PORT' ? 1 : 0;
  if (Number.isInteger(port) && port >= least && port <= 65_000) return port;
  throw new Error(`${name} must be a port from ${least} to 65000`);
}

/** Throws one clear line when nobody can listen on `port`. */
function checkFree(name: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', ({ code }: NodeJS.ErrnoException) => {
      const trouble = code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${code})`;
      reject(new Error(`Port ${port} ${trouble}: stop what listens there, or set ${name} to another port`));
    });
    server.listen(port, () => server.close(() => resolve()));
  });
}
