/**
 * `npm audit` as a gate: fails on what is known to be of high or critical severity, and says so, and goes on, when the
 * registry gives no report (npm exits with 1 for both).
 */
import { spawnSync } from 'node:child_process';

const SEVERE = ['high', 'critical'] as const;

interface Report {
  metadata?: { vulnerabilities?: Partial<Record<string, number>> };
  vulnerabilities?: Record<
    string,
    { severity: string; range: string; via: (string | { title: string; url: string })[] }
  >;
  message?: string;
}

/** What npm printed, or what is wrong with it. */
function readReport(stdout: string): Report {
  try {
    return JSON.parse(stdout) as Report;
  } catch {
    return { message: stdout.trim().split('\n').at(-1) || 'npm printed nothing' };
  }
}

const { stdout = '', error } = spawnSync('npm', ['audit', '--json'], {
  encoding: 'utf8',
  shell: process.platform === 'win32',
});
const report = error ? { message: error.message } : readReport(stdout);
const counts = report.metadata?.vulnerabilities;
if (!counts) {
  console.warn(`audit: NOT CHECKED, the registry gave no report (${report.message ?? 'no reason told'})`);
} else {
  const severe = Object.entries(report.vulnerabilities ?? {}).filter(([, { severity }]) =>
    SEVERE.some((kind) => kind === severity),
  );
  for (const [name, { severity, range, via }] of severe) {
    const why = via.map((cause) => (typeof cause === 'string' ? cause : `${cause.title} ${cause.url}`));
    console.error(`audit: ${severity}: ${name} ${range}: ${why.join('; ')}`);
  }
  const total = SEVERE.reduce((sum, kind) => sum + (counts[kind] ?? 0), 0);
  console.log(`audit: ${total} high or critical, of ${counts.total ?? 0} known`);
  if (total > 0 || severe.length > 0) process.exitCode = 1;
}
