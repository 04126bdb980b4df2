import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import { importPreview } from '@worktide/schemas';
import { planProblem } from './bring.ts';
import type { Plan } from './items.ts';
import { type PreviewDependencies, previewFile } from './preview.ts';
import type { ImportRow } from './store.ts';

test('projects and people may be called as what every object has', async () => {
  const projectId = uuidv7();
  const workspace = createServer((_, res) => {
    res.setHeader('content-type', 'application/json');
    // Of these one is known there.
    res.end(JSON.stringify({ projects: [{ name: '__proto__', id: projectId }] }));
  });
  await new Promise<void>((resolve) => workspace.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = workspace.address() as AddressInfo;
    const internal = { service: 'w', url: `http://127.0.0.1:${port}`, internalToken: 't'.repeat(40) };
    const names = ['constructor', '__proto__', 'toString'];
    const file = [
      'User,Email,Project,Start date,Start time,End date,End time,Duration',
      ...names.map((name, i) => `__proto__,,${name},2026-01-1${i},9:00,2026-01-1${i},10:00,1:00:00`),
    ].join('\n');
    const deps = {
      store: { get: async () => ({ body: Readable.from([Buffer.from(file)]) }) },
      identity: { findUser: async () => undefined, organization: async () => undefined },
      privacy: {},
      auth: internal,
      workspace: internal,
      retentionMonths: 25,
    } as unknown as PreviewDependencies;
    const row = {
      organizationId: uuidv7(),
      id: uuidv7(),
      userId: uuidv7(),
      kind: 'toggl',
      fileKey: 'k',
      timezone: 'UTC',
      dateOrder: 'ymd',
      forOthers: false,
    } as ImportRow;
    const { signal } = new AbortController();
    const { preview, plan } = await previewFile(deps, row, { onBytes: () => {}, signal });
    expect(importPreview.safeParse(preview).error).toBeUndefined();
    expect(preview.usable).toBe(3);
    expect(preview.people).toEqual([{ name: '__proto__', email: null, userId: row.userId, rows: 3 }]);
    expect(preview.projects.map(({ name, projectId }) => [name, projectId])).toEqual([
      ['constructor', null],
      ['__proto__', projectId],
      ['toString', null],
    ]);
    // As it is stored.
    const stored: Plan = JSON.parse(JSON.stringify(plan));
    const item = { type: 'entry', person: '__proto__' } as never;
    expect(planProblem({ row: 1, item }, stored)).toBeUndefined();
    expect(planProblem({ row: 1, item: { type: 'entry', person: 'constructor' } as never }, stored)).toBeDefined();
  } finally {
    workspace.close();
  }
});
