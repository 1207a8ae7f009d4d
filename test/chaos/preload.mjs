/**
 * Loaded into a node before its own code (`node --import`): does to it from inside what cannot be done from outside,
 * on messages of the process that started it.
 */
import process from 'node:process';

const RealDate = Date;
let shiftMs = 0;

/** The wall clock, shifted; timers and performance.now() go on unharmed, as they do when a host's clock is set. */
globalThis.Date = class Date extends RealDate {
  constructor(...given) {
    if (given.length > 0) super(...given);
    else super(RealDate.now() + shiftMs);
  }
  static now() {
    return RealDate.now() + shiftMs;
  }
};

process.on('message', ({ block, shift, reject, inspect }) => {
  if (block !== undefined) {
    const end = RealDate.now() + block;
    while (RealDate.now() < end);
  }
  if (shift !== undefined) shiftMs = shift;
  if (inspect !== undefined) {
    globalThis.gc?.();
    const resources = {};
    for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
    const { heapUsed, rss } = process.memoryUsage();
    process.send({ heapBytes: heapUsed, rssBytes: rss, resources });
  }
  if (reject !== undefined) void Promise.reject(new Error(reject));
});
process.channel?.unref();
// Whoever started this process has gone without stopping it.
process.on('disconnect', () => process.exit(1));
