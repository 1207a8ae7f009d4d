/** Command lines of the development commands: a wrong one is told in one line and ends with exit code 2. */
import { parseArgs, type ParseArgsConfig } from 'node:util';

/** The options of this process's command line; nothing else may be on it. */
export function readOptions<const Options extends NonNullable<ParseArgsConfig['options']>>(options: Options) {
  try {
    return parseArgs({ options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    return exitWrong((error as Error).message.split('. ')[0] ?? '');
  }
}

/** Says what is wrong and exits. */
export function exitWrong(message: string): never {
  console.error(message);
  process.exit(2);
}
