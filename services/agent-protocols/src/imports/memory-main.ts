import { createLifecycle, silentLogger, sleep } from '@worktide/runtime';
import { startImports } from './testing.ts';

/**
 * A process of its own that does nothing but import files, for the test that looks at how much memory that takes. Says where it
 * is and by which header a person comes; of the first import, once it is read it starts it, and once it is done it says what all of it took.
 */
const [postgresUrl, folder] = process.argv.slice(2) as [string, string];
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);
const lifecycle = createLifecycle({ log: silentLogger() });
const imports = await startImports(postgresUrl, folder, lifecycle, { forgets: true });
const { header, ...person } = imports.person();
say({ url: imports.url, header });

const ask = async (path: string, method = 'GET') => {
  const answer = await fetch(`${imports.url}/api/v1/imports${path}`, { method, headers: { authorization: header } });
  return (await answer.json()) as { items: { id: string }[] };
};
const seconds: Record<string, number> = {};
const started = performance.now();
const since = (): number => Math.round(performance.now() - started) / 1_000;
for (let id: string | undefined; ; await sleep(100)) {
  id ??= (await ask('')).items[0]?.id;
  if (id === undefined) continue;
  seconds.uploaded ??= since();
  const { status, result, failure } = await imports.show(person, id);
  if (status === 'ready') {
    seconds.read ??= since();
    await ask(`/${id}/start`, 'POST');
  }
  if (status === 'done' || status === 'failed') {
    seconds.imported = since();
    // Kilobytes.
    const { maxRSS } = process.resourceUsage();
    say({ status, result, failure, seconds, maxRSS });
    break;
  }
}
await lifecycle.close();
process.exit(0);
