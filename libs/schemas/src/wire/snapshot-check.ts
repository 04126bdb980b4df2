import type { TopicSpec } from '../topics.ts';
import { incompatibilities } from './compatibility.ts';
import { canonical, type JsonSchema, jsonSchemaOf } from './json-schema.ts';
import { loadSnapshots, type Snapshot } from './snapshots.ts';

export interface SnapshotOutcome {
  topic: string;
  schema: JsonSchema;
  /** The version that the present schema has, or will have. */
  version: number;
  /** The present schema is compatible and not in a snapshot yet. */
  missing: boolean;
  /** Why it is refused; says how to go about it. */
  problems: string[];
}

const advice =
  'Records written with the earlier schema are still in the log and could not be read any more. Add fields as ' +
  'optional, widen limits, extend enums; keep what is there. For anything else make a new topic beside the old one, ' +
  'write to both for as long as the old one is kept, then drop it.';

/** Compares the schemas of today with the last released ones. */
export function checkSnapshots(
  topics: readonly Pick<TopicSpec, 'name' | 'schema'>[],
  snapshots: readonly Snapshot[] = loadSnapshots(),
): SnapshotOutcome[] {
  return topics.map(({ name, schema: zodSchema }) => {
    const schema = jsonSchemaOf(zodSchema);
    const latest = snapshots.findLast((snapshot) => snapshot.topic === name);
    if (!latest) return { topic: name, schema, version: 1, missing: true, problems: [] };
    if (canonical(latest.schema) === canonical(schema)) {
      return { topic: name, schema, version: latest.version, missing: false, problems: [] };
    }
    const reasons = incompatibilities(latest.schema, schema);
    const problems = reasons.length > 0 ? [`The schema of topic ${name} is not compatible:`, ...reasons, advice] : [];
    return { topic: name, schema, version: latest.version + 1, missing: problems.length === 0, problems };
  });
}
