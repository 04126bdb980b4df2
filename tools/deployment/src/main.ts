import { writeFileSync } from 'node:fs';
import { composeIngress } from './compose-ingress.ts';
import { deployFolder, readTable } from './table.ts';
import { valuesSchema } from './values-schema.ts';

for (const [path, text] of [
  ['compose/ingress.conf', composeIngress(readTable())],
  ['helm/worktide/values.schema.json', valuesSchema()],
] as const) {
  writeFileSync(new URL(path, deployFolder), text);
  process.stdout.write(`deploy/${path} is written\n`);
}
