import { type BackendName, backendNames, variableOf } from './names.ts';
import { createSupervisor } from './supervisor.ts';

// `npm run backends [-- name…]`: real engines in the foreground, for tests that are run again and again.
const asked = process.argv.slice(2);
const unknown = asked.find((name) => !backendNames.includes(name as BackendName));
if (unknown !== undefined) {
  console.error(`There is no backend "${unknown}"; there are: ${backendNames.join(', ')}.`);
  process.exit(64);
}
const names = asked.length > 0 ? (asked as BackendName[]) : backendNames;
const supervisor = await createSupervisor();

let ending = false;
async function end(code: number): Promise<void> {
  if (ending) return;
  ending = true;
  await supervisor.stop();
  process.exit(code);
}
process.on('SIGINT', () => void end(0));
process.on('SIGTERM', () => void end(0));

try {
  const urls = await Promise.all(names.map(async (name) => [name, await supervisor.url(name)] as const));
  for (const [name, url] of urls) console.log(`export ${variableOf(name)}='${url}'`);
  console.error('All are running. Ctrl-C ends them and removes their data.');
  // Nothing else holds the event loop: the engines are children that do not count.
  setInterval(() => {}, 60_000);
} catch (error) {
  if (!ending) console.error(error instanceof Error ? error.message : String(error));
  await end(1);
}
