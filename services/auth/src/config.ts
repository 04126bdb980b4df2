import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';
import { isMailUrl } from './mail/transport.ts';
import { planSeats } from './organization/plans.ts';

/** The environment of this service; `loadConfig` reports every problem at once. */
export const configSchema = z
  .object({
    ...httpConfig(8084),
    /** Of the service's own role, which has its own schema and nothing else. */
    POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
    /** A replica for what may lag: lists. */
    POSTGRES_READ_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
    ...eventLogConfig,
    /** A Confluent API, `http://registry/apis/ccompat/v7`, or `local:`, where the schemas of this version are all there is. */
    SCHEMA_REGISTRY_URL: z.string().default('local:'),
    /** `redis://…`, `rediss://…`, or `memory:`, which no other process shares. */
    KEY_VALUE_URL: z.string().default('memory:'),
    /** Bearer secret of the routes that only other services call. */
    INTERNAL_TOKEN: z.string().min(32),
    /**
     * Ed25519 private key, PKCS #8 PEM or JWK. Without it one is made once and kept in auth.signing_keys, not encrypted:
     * this service's role and administrators of the database can read it, and so can their backups.
     */
    AUTH_SIGNING_KEY: z.string().optional(),
    /** Failed log-ins a minute, for each account and for each address, and for what an account knows. */
    LOGIN_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(5),
    /** New organisations a minute for each address. */
    REGISTER_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(60),
    /** Requests a minute that send mail or take a token from one, for each mailbox and for each address; a mailbox: ×4 an hour, ×10 a day. */
    MAIL_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(5),
    /** Invitations a minute for each user who sends them. */
    INVITE_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(60),
    /**
     * The way of mails: `smtp://user:password@host:587`, `smtps://…`, or `file:<folder>`, where each is an `.eml` file.
     * Without it they wait in the queue, two days at most.
     */
    SMTP_URL: z.string().refine(isMailUrl, { message: 'not smtp://, smtps:// or file:' }).optional(),
    /**
     * Whether who registers has to follow a link in a mail before the account makes or sends anything. Unless it is said:
     * where mails go out by SMTP.
     */
    VERIFY_ADDRESSES: z.stringbool().optional(),
    /** Sender of mails, `Name <address>` or an address. */
    MAIL_FROM: z
      .string()
      .default('Worktide <worktide@localhost>')
      .refine((text) => /^([^<>@\p{C}]*<[^\s<>@]+@[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+)$/u.test(text), {
        message: 'not like Name <name@example.com>',
      }),
    /** Where people find the dashboard, for links in mails. */
    PUBLIC_URL: z
      .url({ protocol: /^https?$/ })
      .default('http://127.0.0.1:8080')
      .transform((url) => url.replace(/\/+$/, ''))
      .refine((url) => !/[?#]/.test(url), { message: 'has a query or a fragment' }),
    /** `auto`: Secure where the request came over TLS, as told by a trusted proxy's X-Forwarded-Proto. */
    COOKIE_SECURE: z.enum(['auto', 'true', 'false']).default('auto'),
    /** Seats of each plan where they are to differ, as JSON: `{"free": 10, "pro": null}`; null is unlimited. */
    PLAN_SEATS: planSeats,
    /**
     * Shared with the billing provider, who signs its webhook with it; two with a comma between while it is changed.
     * Without one the webhook answers 503.
     */
    BILLING_WEBHOOK_SECRET: z
      .string()
      .default('')
      .transform((text) => text.split(',').map((part) => part.trim()))
      .transform((parts) => parts.filter((part) => part !== '')),
  })
  .refine(({ VERIFY_ADDRESSES, SMTP_URL }) => !VERIFY_ADDRESSES || SMTP_URL !== undefined, {
    path: ['VERIFY_ADDRESSES'],
    message: 'without SMTP_URL nobody gets the link',
  });

export type Config = z.output<typeof configSchema>;

/** Whether addresses are to be proven. */
export const verifiesAddresses = ({ VERIFY_ADDRESSES, SMTP_URL }: Config): boolean =>
  VERIFY_ADDRESSES ?? /^smtps?:/.test(SMTP_URL ?? '');
