import { writeFileSync } from 'node:fs';
import { composeIngress } from './compose-ingress.ts';
import { deployFolder, readTable } from './table.ts';

writeFileSync(new URL('compose/ingress.conf', deployFolder), composeIngress(readTable()));
process.stdout.write('deploy/compose/ingress.conf is written\n');
