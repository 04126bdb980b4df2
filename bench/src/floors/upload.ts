import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { openObjectStore } from '@worktide/object-store';
import { createMetrics, silentLogger } from '@worktide/runtime';

/**
 * The least that an HTTP service in front of the object store can do on Node: node:http, and the body as it comes into
 * the same kind of store. No form, no look at the bytes, no credential, no event.
 */

const { values } = parseArgs({ options: { port: { type: 'string' }, store: { type: 'string' } } });
const store = openObjectStore(values.store!, { log: silentLogger(), metrics: createMetrics() });
let objects = 0;
const server = createServer((req, res) => {
  store.put(`uploads/organization/user/${objects++}`, req, { contentType: 'image/png' }).then(
    () => res.writeHead(202).end('{}'),
    () => res.writeHead(503).end(),
  );
});
server.listen(Number(values.port), '127.0.0.1', () => process.stdout.write('listening\n'));
process.once('SIGTERM', () => process.exit(0));
