import { mkdirSync, writeFileSync } from 'node:fs';
import { topics } from '../topics.ts';
import { checkSnapshots } from './snapshot-check.ts';
import { snapshotFile, snapshotFolder } from './snapshots.ts';

// `npm run schemas:snapshot`: writes the schemas of today beside those of earlier releases, unless they are incompatible.
mkdirSync(snapshotFolder, { recursive: true });
let refused = false;
for (const outcome of checkSnapshots(Object.values(topics))) {
  if (outcome.problems.length > 0) {
    refused = true;
    console.error(outcome.problems.join('\n'));
  } else if (outcome.missing) {
    writeFileSync(snapshotFile(outcome.topic, outcome.version), `${JSON.stringify(outcome.schema, null, 2)}\n`);
    console.log(`${outcome.topic}: wrote version ${outcome.version}`);
  } else console.log(`${outcome.topic}: version ${outcome.version} is the present one`);
}
process.exitCode = refused ? 1 : 0;
