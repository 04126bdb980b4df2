import { runFleet } from './fleet.ts';
import { parseCommandLine, UsageError, usage } from './options.ts';
import { summaryOf, verdictLines } from './verdict.ts';

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  const { help, json, options } = parseCommandLine(process.argv.slice(2));
  if (help) {
    print(usage);
    return 0;
  }
  const stop = new AbortController();
  process.on('SIGINT', () => {
    // The first ends the sending and asks for the verdict; who presses again wants out.
    if (stop.signal.aborted) process.exit(130);
    print('stopping; what was sent will be compared (Ctrl-C again to leave at once)');
    stop.abort();
  });
  const result = await runFleet({ ...options, signal: stop.signal, print });
  result.close();
  for (const line of verdictLines(result)) print(line);
  if (json) print(JSON.stringify(summaryOf(result)));
  return result.equal ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof UsageError) process.stderr.write(`\n${usage}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
