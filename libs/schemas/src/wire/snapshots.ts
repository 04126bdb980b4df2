import { readdirSync, readFileSync } from 'node:fs';
import type { JsonSchema } from './json-schema.ts';

/** One released schema of a topic: `snapshots/<topic>.v<version>.json`. */
export interface Snapshot {
  topic: string;
  version: number;
  schema: JsonSchema;
}

/** Where the released schemas are. They are never changed, only added to: records written with them are in logs. */
export const snapshotFolder = new URL('../../snapshots/', import.meta.url);

export const snapshotFile = (topic: string, version: number): URL =>
  new URL(`${topic}.v${version}.json`, snapshotFolder);

/** All released schemas, oldest first within a topic. */
export function loadSnapshots(): Snapshot[] {
  const found = readdirSync(snapshotFolder).flatMap((name) => {
    const match = /^(.+)\.v(\d+)\.json$/.exec(name);
    if (!match) return [];
    const schema = JSON.parse(readFileSync(new URL(name, snapshotFolder), 'utf8')) as JsonSchema;
    return [{ topic: match[1]!, version: Number(match[2]), schema }];
  });
  return found.sort((a, b) => a.topic.localeCompare(b.topic) || a.version - b.version);
}
