import { AppError, invalid } from '@worktide/runtime';
import { confluentRegistry } from './confluent.ts';
import type { JsonSchema } from './json-schema.ts';
import { localRegistry } from './local.ts';

/** Where the schemas of the topics are kept, with an id for each. */
export interface SchemaRegistry {
  /**
   * Registers a schema under a subject and gives its id, the same for the same schema.
   * @throws AppError `SCHEMA_INCOMPATIBLE` when records written with the latest one could not be read with this one
   * (BACKWARD); `DEPENDENCY_UNAVAILABLE` when the registry cannot be asked.
   */
  register(subject: string, jsonSchema: JsonSchema): Promise<number>;
  /** @throws AppError `SCHEMA_UNKNOWN` when there is none of that id; `DEPENDENCY_UNAVAILABLE`. */
  schemaById(id: number): Promise<JsonSchema>;
  /** For readiness. @throws AppError `DEPENDENCY_UNAVAILABLE`. */
  check(): Promise<void>;
}

/**
 * @param url `local:` or the Confluent API of a registry, e.g. `http://registry:8080/apis/ccompat/v7`
 * (user and password may stand in it).
 * @param options how long one request to it may take; 5 s unless said.
 */
export function openSchemaRegistry(url: string, options: { requestTimeoutMs?: number } = {}): SchemaRegistry {
  if (url === 'local:') return localRegistry();
  // `new URL` would complain with the URL, a password maybe in it.
  if (/^https?:\/\//.test(url) && URL.canParse(url)) return confluentRegistry(url, options);
  throw new AppError('BAD_CONFIGURATION', 'A schema registry is `local:` or an http(s) URL.');
}

export const incompatible = (subject: string, problems: string): AppError =>
  new AppError('SCHEMA_INCOMPATIBLE', `The schema of ${subject} cannot read what was written before: ${problems}`, {
    statusCode: 409,
  });

export const unknownSchema = (id: number): AppError => invalid('SCHEMA_UNKNOWN', `There is no schema with id ${id}.`);
