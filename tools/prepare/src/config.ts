import { replicationConfig } from '@worktide/event-log';
import { z } from 'zod';
import { type DatabaseService, databaseServices, databases } from './engines.ts';

/** How the variables of a service's role begin. */
const prefixOf = (service: DatabaseService): string => service.toUpperCase().replaceAll('-', '_');
/** The variable with the password that a service's role is given. */
export const passwordVariable = (service: DatabaseService): string => `${prefixOf(service)}_POSTGRES_PASSWORD`;
/** The variable that may be there instead: what the service itself is given to connect with, so that a secret has each password once. */
export const urlVariable = (service: DatabaseService): string => `${prefixOf(service)}_POSTGRES_URL`;

const variablesOf = (service: DatabaseService): Record<string, z.ZodType> => ({
  [passwordVariable(service)]: z
    .string()
    .min(1)
    .optional()
    .describe(
      `What the role ${databases[service].role} is given to log in with; that of ${urlVariable(service)} unless said.`,
    ),
  [urlVariable(service)]: z
    .url({ protocol: /^postgres(ql)?$/ })
    .refine((url) => decodeURIComponent(new URL(url).username) === databases[service].role, {
      message: `its user is ${databases[service].role}`,
    })
    .refine((url) => new URL(url).password !== '', { message: 'it has a password' })
    .optional()
    .describe(`The service’s POSTGRES_URL, for its password. One of the two is required.`),
});

/** What the role of a service is given to log in with; undefined where the environment does not say. */
export function passwordFrom(env: Record<string, string | undefined>, service: DatabaseService): string | undefined {
  const url = env[urlVariable(service)];
  return env[passwordVariable(service)] || (url ? decodeURIComponent(new URL(url).password) : undefined);
}

/** The environment of each part; the URLs are an administrator's, which no service has. */
const parts = {
  postgres: z.object({
    /** Of a superuser, or of a role that may create databases and roles; it names the database. */
    ADMIN_POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
    ...(Object.assign({}, ...databaseServices.map(variablesOf)) as Record<string, z.ZodType>),
  }),
  clickhouse: z.object({
    /** Of a user who may create databases and tables; it names the database, `worktide` unless it does. */
    ADMIN_CLICKHOUSE_URL: z.url({ protocol: /^https?$/ }),
  }),
  topics: z.object({
    /** Of whoever may create topics and change their configuration. */
    ADMIN_EVENT_LOG_URL: z.string(),
    ...replicationConfig,
  }),
  bucket: z.object({
    /** Of whoever may create buckets, in the form of OBJECT_STORE_URL. */
    ADMIN_OBJECT_STORE_URL: z.string(),
  }),
};

export type Part = keyof typeof parts;
export const partNames = Object.keys(parts) as Part[];

/** Of all parts together. */
export const environment = environmentOf(partNames);

export function environmentOf(some: readonly Part[]): z.ZodObject {
  return z.object(Object.assign({}, ...some.map((part) => parts[part].shape)));
}

/** As `environmentOf`, and that each role has a password. */
export const checkedEnvironmentOf = (some: readonly Part[]): z.ZodObject =>
  environmentOf(some).superRefine((env, context) => {
    if (!some.includes('postgres')) return;
    for (const service of databaseServices) {
      const isGiven = env[passwordVariable(service)] !== undefined || env[urlVariable(service)] !== undefined;
      if (isGiven) continue;
      const message = `neither it nor ${urlVariable(service)} is set`;
      context.addIssue({ code: 'custom', path: [passwordVariable(service)], message });
    }
  });
