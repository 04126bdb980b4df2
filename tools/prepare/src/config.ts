import { replicationConfig } from '@worktide/event-log';
import { z } from 'zod';
import { type DatabaseService, databaseServices, databases } from './engines.ts';

/** The variable with the password that a service's role is given. */
export const passwordVariable = (service: DatabaseService): string =>
  `${service.toUpperCase().replaceAll('-', '_')}_POSTGRES_PASSWORD`;

const password = (service: DatabaseService) =>
  z.string().min(1).describe(`What the role ${databases[service].role} is given to log in with.`);

/** The environment of each part; the URLs are an administrator's, which no service has. */
const parts = {
  postgres: z.object({
    /** Of a superuser, or of a role that may create databases and roles; it names the database. */
    ADMIN_POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
    ...(Object.fromEntries(databaseServices.map((service) => [passwordVariable(service), password(service)])) as Record<
      string,
      z.ZodString
    >),
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
