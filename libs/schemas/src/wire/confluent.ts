import { COMPATIBILITY, SchemaRegistry as ConfluentClient, SchemaType } from '@kafkajs/confluent-schema-registry';
import { AppError, unavailable } from '@worktide/runtime';
import type { JsonSchema } from './json-schema.ts';
import { incompatible, type SchemaRegistry, unknownSchema } from './registry.ts';

const mediaType = 'application/vnd.schemaregistry.v1+json';

/** Each of these includes BACKWARD: an operator may have chosen a stricter one. */
const acceptable = [
  COMPATIBILITY.BACKWARD,
  COMPATIBILITY.BACKWARD_TRANSITIVE,
  COMPATIBILITY.FULL,
  COMPATIBILITY.FULL_TRANSITIVE,
];

/** A registry that speaks Confluent's HTTP API. */
export function confluentRegistry(url: string, options: { requestTimeoutMs?: number } = {}): SchemaRegistry {
  const { requestTimeoutMs = 5_000 } = options;
  const { username, password, origin, pathname } = new URL(url);
  const base = `${origin}${pathname.replace(/\/$/, '')}`;
  const auth = { username: decodeURIComponent(username), password: decodeURIComponent(password) };
  const client = new ConfluentClient(
    {
      host: base,
      clientId: 'worktide',
      ...(auth.username ? { auth } : {}),
      // Callers try again themselves, with their own pauses.
      retry: { retries: 0 },
      middlewares: [() => ({ prepareRequest: async (next) => (await next()).enhance({ timeout: requestTimeoutMs }) })],
    },
    // It compiles every schema; the keywords and formats that ajv does not know are no concern of ours.
    { [SchemaType.JSON]: { strict: false, validateFormats: false } },
  );

  /** The answer's JSON, or undefined for 404. */
  async function ask(path: string, put?: unknown): Promise<unknown> {
    const headers: Record<string, string> = { accept: mediaType };
    if (auth.username) {
      headers.authorization = `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`;
    }
    const change = put === undefined ? {} : { method: 'PUT', body: JSON.stringify(put) };
    if (put !== undefined) headers['content-type'] = mediaType;
    try {
      const signal = AbortSignal.timeout(requestTimeoutMs);
      const response = await fetch(`${base}${path}`, { headers, signal, ...change });
      if (response.status === 404) return void (await response.body?.cancel());
      if (!response.ok) throw new Error(`status ${response.status} for ${path}: ${await response.text()}`);
      return await response.json();
    } catch (error) {
      throw unavailable('schema registry', error);
    }
  }

  /**
   * Sets BACKWARD before the first schema is there, and where it is missing. The client would set it after the
   * registration; a process that dies in between leaves a subject that takes everything and that the client then
   * refuses for ever.
   */
  async function ensureCompatibility(subject: string): Promise<COMPATIBILITY> {
    const path = `/config/${encodeURIComponent(subject)}`;
    const present = async (): Promise<COMPATIBILITY | undefined> => {
      const config = (await ask(path)) as { compatibilityLevel?: string } | undefined;
      return acceptable.find((level) => level === config?.compatibilityLevel?.toUpperCase());
    };
    const before = await present();
    if (before) return before;
    try {
      await ask(path, { compatibility: COMPATIBILITY.BACKWARD });
      return COMPATIBILITY.BACKWARD;
    } catch (error) {
      // Apicurio answers 409 when another process has set it in between.
      const meanwhile = await present();
      if (!meanwhile) throw error;
      return meanwhile;
    }
  }

  return {
    async register(subject, jsonSchema) {
      const compatibility = await ensureCompatibility(subject);
      try {
        const schema = { type: SchemaType.JSON, schema: JSON.stringify(jsonSchema) } as const;
        const { id } = await client.register(schema, { subject, compatibility });
        return id;
      } catch (error) {
        throw refusal(subject, error);
      }
    },
    async schemaById(id) {
      const found = (await ask(`/schemas/ids/${id}`)) as { schema: string; schemaType?: string } | undefined;
      // No type means Avro; nothing of ours is written with that.
      if (found?.schemaType !== 'JSON') throw unknownSchema(id);
      return JSON.parse(found.schema) as JsonSchema;
    },
    async check() {
      // Any answer will do, also that there is no such schema; a list of subjects could be long.
      await ask('/schemas/ids/1');
    },
  };
}

/** The client reports a registry that is down as status 400, so only what a registry alone can say is taken as its word. */
function refusal(subject: string, error: unknown): AppError {
  const status = (error as { status?: number }).status;
  if (status === 409) return incompatible(subject, (error as Error).message);
  if (status === 422) {
    return new AppError('SCHEMA_INVALID', `The registry does not take the schema of ${subject}.`, { cause: error });
  }
  return unavailable('schema registry', error);
}
