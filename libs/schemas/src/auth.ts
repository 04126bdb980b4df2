import { domainToASCII } from 'node:url';
import { isStorable } from '@worktide/runtime';
import { z } from 'zod';
import { boundInstant, eventDeviceId, givenId, id, namesSomething, page, pageQuery, timezone } from './common.ts';

/** Text for people: trimmed, not empty, no control characters, nothing that UTF-8 or PostgreSQL cannot hold. */
export const plainText = (max: number) =>
  z
    .string()
    // Bounded before anything looks at it; the second bound counts characters as people do.
    .max(4 * max)
    // One form of what looks alike, so that it is found however somebody's keyboard writes it.
    .transform((text) => text.normalize('NFC').trim())
    .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), { message: 'holds control characters' })
    .refine((text) => text !== '' && [...text].length <= max, { message: `must have 1–${max} characters` });

/** A local part that can be mailed without quotes: RFC 5322 `dot-atom`, with the letters of RFC 6532. */
const localPart = /^(?!.{65})[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u;
/** At least two labels of letters, digits and inner hyphens, of 63 at most (RFC 1035 §2.3.4); the last is no number. */
const domainPart = /^(?!.*\.\d+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$/;

/**
 * An address as it is stored and compared, so that one mailbox is one account: NFC and lower case, the domain in its
 * ASCII form (`bücher.example` and `xn--bcher-kva.example` are one). Undefined for what cannot be mailed.
 */
export function mailboxOf(text: string): string | undefined {
  const given = text.trim().normalize('NFC').toLowerCase();
  const at = given.lastIndexOf('@');
  const local = given.slice(0, at);
  const name = given.slice(at + 1);
  // The parser of URLs would take a port or a path for the end of the name.
  const domain = /^[\p{L}\p{M}\p{N}.-]+$/u.test(name) ? domainToASCII(name) : '';
  if (at < 1 || !local.isWellFormed() || !localPart.test(local) || !domainPart.test(domain)) return undefined;
  // RFC 3696, erratum 1690.
  return local.length + 1 + domain.length <= 254 ? `${local}@${domain}` : undefined;
}

export const email = z
  .string()
  .max(320)
  .transform((text, context) => {
    const mailbox = mailboxOf(text);
    if (mailbox === undefined) context.addIssue({ code: 'custom', message: 'not an address' });
    return mailbox ?? z.NEVER;
  });

/** At most 128 UTF-16 units, since pings of the session may take it for their device. */
const deviceName = plainText(64);

export const minPasswordLength = 8;
export const maxPasswordLength = 256;

/** 8–256 characters; longer ones would only buy an attacker our CPU. Any characters: phrases are welcome. */
export const newPassword = z
  .string()
  .max(2 * maxPasswordLength)
  .refine((text) => text.isWellFormed() && Buffer.byteLength(text) <= 4 * maxPasswordLength, {
    message: 'holds half of a surrogate pair',
  })
  .refine((text) => [...text].length >= minPasswordLength && [...text].length <= maxPasswordLength, {
    message: `must have ${minPasswordLength}–${maxPasswordLength} characters`,
  });

/** A password to be compared: bounded, but a short one is simply wrong. */
const givenPassword = z
  .string()
  .min(1)
  .max(2 * maxPasswordLength);

export const role = z.enum(['admin', 'manager', 'employee']);
export const userStatus = z.enum(['active', 'inactive', 'suspended']);
export const subscriptionStatus = z.enum(['free', 'trial', 'pro', 'enterprise']);
export type UserStatus = z.output<typeof userStatus>;
export type SubscriptionStatus = z.output<typeof subscriptionStatus>;

const instantOut = z.iso.datetime();

/** Of what people see of each other beside the name, at most 4 kB together. */
const profileText = plainText(200);
const avatarUrl = z
  .url({ protocol: /^https?$/ })
  .max(2_048)
  .refine(isStorable, { message: 'holds what no store takes' });
export const profile = z
  .object({ firstName: z.string().optional(), lastName: z.string().optional(), avatarUrl: z.string().optional() })
  .meta({ id: 'Profile' });
export type Profile = z.output<typeof profile>;
const givenProfile = z
  .strictObject({
    firstName: profileText.nullable().optional(),
    lastName: profileText.nullable().optional(),
    avatarUrl: avatarUrl.nullable().optional(),
  })
  .refine((given) => Buffer.byteLength(JSON.stringify(given)) <= 4_096, { message: 'more than 4 kB' })
  .meta({ description: 'Merged field by field; null takes one away.' });

export const user = z
  .object({
    id,
    organizationId: id,
    email: z.string(),
    name: z.string(),
    role,
    status: userStatus,
    verified: z.boolean().meta({
      description: 'Whether the address is proven. Until then the account reads, and neither makes nor sends anything.',
    }),
    timezone: z.string(),
    profile,
    lastSeenAt: instantOut.nullable(),
    createdAt: instantOut,
  })
  .meta({ id: 'User' });
export type User = z.output<typeof user>;

export const weekStart = z.enum(['monday', 'saturday', 'sunday']);
export type WeekStart = z.output<typeof weekStart>;

/** Stored as far as they were changed; what is absent has the default, so that a new setting needs no migration. */
export const organizationSettings = z
  .object({
    idleAfterSeconds: z.int().min(60).max(86_400).default(300).meta({
      description:
        'After so long without activity somebody is idle. Agents read it, too: after so long without input they are to report `idle`.',
    }),
    /** A timer that runs for so long without activity is an alert. */
    idleAlertAfterSeconds: z.int().min(60).max(86_400).default(300),
    overtimeAfterSeconds: z.int().min(3_600).max(86_400).default(32_400),
    overlapPolicy: z.enum(['reject', 'merge']).default('reject'),
    minimumBlurLevel: z.int().min(0).max(3).default(0),
    weekStart: weekStart.default('monday'),
    showCurrentApp: z.boolean().default(false).meta({
      description: 'Whether presence shows which application somebody has in front of them.',
    }),
    /** Older screenshots are deleted. */
    screenshotRetentionDays: z.int().min(1).max(3_650).default(90),
    /** Time entries that ended longer ago are deleted; null: never. */
    timeEntryRetentionDays: z.int().min(1).max(36_500).nullable().default(null),
    taskVisibility: z.enum(['organization', 'own']).default('organization').meta({
      description: '`own`: employees see the tasks that they created or are assigned to. Managers and admins see all.',
    }),
  })
  .meta({ id: 'OrganizationSettings' });
export type OrganizationSettings = z.output<typeof organizationSettings>;

export const organization = z
  .object({
    id,
    name: z.string(),
    timezone: z.string(),
    subscriptionStatus,
    settings: organizationSettings,
    deletionAt: instantOut.nullable().meta({ description: 'When all of it is deleted, where that was asked for.' }),
    createdAt: instantOut,
  })
  .meta({ id: 'Organization' });
export type Organization = z.output<typeof organization>;

const refreshTokenIn = z.enum(['cookie', 'body']).default('cookie');

export const registration = z.object({
  email,
  password: newPassword,
  name: plainText(100),
  organizationName: plainText(200),
  timezone: timezone.default('UTC'),
  plan: z.enum(['free', 'trial']).default('trial').meta({ description: 'Others begin by the billing provider.' }),
  deviceName: deviceName.optional(),
  refreshTokenIn,
});
export type Registration = z.output<typeof registration>;

export const login = z.object({
  email,
  password: givenPassword,
  deviceName: deviceName.optional(),
  refreshTokenIn,
});
export type Login = z.output<typeof login>;

/** Also the body of log-out, where it names the session if no access token does. */
export const refreshBody = z.object({ refreshToken: z.string().min(1).max(256).optional() }).optional();

export const account = z.object({ user, organization }).meta({ id: 'Account' });
export type Account = z.output<typeof account>;

export const signedIn = account
  .extend({
    accessToken: z.string(),
    expiresIn: z.int().meta({ description: 'Seconds that the access token lives.' }),
    refreshToken: z.string().optional().meta({ description: 'Only where it was asked for in the body.' }),
  })
  .meta({ id: 'SignedIn' });
export type SignedIn = z.output<typeof signedIn>;

export const profileChange = z
  .object({ name: plainText(100).optional(), timezone: timezone.optional(), profile: givenProfile.optional() })
  .meta({ id: 'ProfileChange' });
export type ProfileChange = z.output<typeof profileChange>;

export const session = z
  .object({
    id,
    deviceName: z.string().nullable(),
    userAgent: z.string().nullable(),
    ipAddress: z.string().nullable(),
    createdAt: instantOut,
    lastUsedAt: instantOut,
    expiresAt: instantOut,
    current: z.boolean().meta({ description: 'The session that asks.' }),
  })
  .meta({ id: 'Session' });
export const sessionPage = page(session);

export const newAgentKey = z.object({
  name: plainText(100),
  deviceId: eventDeviceId.refine(isStorable, { message: 'holds what no store takes' }).optional(),
  /** Never, unless given. */
  expiresAt: boundInstant.refine((text) => Date.parse(text) > Date.now(), { message: 'has passed' }).optional(),
});
export const createdAgentKey = z
  .object({
    id,
    key: z.string().meta({ description: '`waka_<UUIDv4>`; shown here and never again.' }),
    name: z.string(),
    deviceId: z.string(),
    createdAt: instantOut,
    expiresAt: instantOut.nullable(),
  })
  .meta({ id: 'CreatedAgentKey' });
export const agentKey = z
  .object({
    id,
    name: z.string(),
    deviceId: z.string(),
    createdAt: instantOut,
    expiresAt: instantOut.nullable(),
    lastUsedAt: instantOut.nullable().meta({ description: 'To some minutes.' }),
    lastUsedFrom: z.string().nullable().meta({ description: 'An IPv4 address, or the /64 of an IPv6 one.' }),
  })
  .meta({ id: 'AgentKey' });
export const agentKeyPage = page(agentKey);

export const listQuery = z.object(pageQuery);
export const idParams = z.object({ id });
export const agentKeyOfUserParams = z.object({ id: givenId, keyId: givenId });

export const passwordChange = z.object({ currentPassword: givenPassword, newPassword });
export const forgottenPassword = z.object({ email });

/** Of a mail: 128 random bits, or whatever somebody types. */
const mailToken = z.string().min(1).max(256);
export const passwordReset = z.object({
  token: mailToken,
  password: newPassword,
  revokeAgentKeys: z.boolean().default(false).meta({
    description: 'Also revoke all agent keys: for who does not know what was done with the account meanwhile.',
  }),
});
export const addressVerification = z.object({ token: mailToken });
/** The caller's password, for what cannot be taken back for ever. */
export const passwordProof = z.object({ password: givenPassword });

export const newInvitation = z.object({ email, role });
export const invitation = z
  .object({
    id,
    email: z.string(),
    role,
    status: z.enum(['pending', 'expired']),
    invitedBy: id,
    createdAt: instantOut,
    expiresAt: instantOut,
  })
  .meta({ id: 'Invitation' });
export type Invitation = z.output<typeof invitation>;
export const invitationPage = page(invitation);
export const acceptedInvitation = z.object({
  token: mailToken,
  name: plainText(100),
  password: newPassword,
  timezone: timezone.optional(),
  deviceName: deviceName.optional(),
  refreshTokenIn,
});

export const userPage = page(user);
export const userQuery = z.object({
  ...pageQuery,
  role: role.optional(),
  status: userStatus.optional(),
  search: z
    .string()
    .max(100)
    .refine(isStorable, { message: 'holds what no store takes' })
    .optional()
    .meta({ description: 'Part of the name or the address.' }),
});
export const userChange = z
  .object({ role: role.optional(), status: userStatus.optional() })
  .refine(...namesSomething());
export type UserChange = z.output<typeof userChange>;

const settingsShape = organizationSettings.shape;
/** Fields that only show are ignored, so that what was read can be sent back changed. */
export const organizationChange = z
  .object({
    name: plainText(200).optional(),
    timezone: timezone.optional(),
    /** Only what is named changes. Strict: a misspelt setting that seems to be taken would be found out too late. */
    settings: z
      .strictObject({
        idleAfterSeconds: settingsShape.idleAfterSeconds.unwrap().optional(),
        idleAlertAfterSeconds: settingsShape.idleAlertAfterSeconds.unwrap().optional(),
        overtimeAfterSeconds: settingsShape.overtimeAfterSeconds.unwrap().optional(),
        overlapPolicy: settingsShape.overlapPolicy.unwrap().optional(),
        minimumBlurLevel: settingsShape.minimumBlurLevel.unwrap().optional(),
        weekStart: settingsShape.weekStart.unwrap().optional(),
        showCurrentApp: settingsShape.showCurrentApp.unwrap().optional(),
        screenshotRetentionDays: settingsShape.screenshotRetentionDays.unwrap().optional(),
        timeEntryRetentionDays: settingsShape.timeEntryRetentionDays.unwrap().optional(),
        taskVisibility: settingsShape.taskVisibility.unwrap().optional(),
      })
      .optional(),
  })
  .refine(...namesSomething());
export type OrganizationChange = z.output<typeof organizationChange>;

/** What a billing provider tells; other types are taken and change nothing. */
export const billingEvent = z.object({
  id: z
    .string()
    .min(1)
    .max(2 * 255)
    .refine((text) => [...text].length <= 255, { message: 'must have 1–255 characters' })
    .refine(isStorable, { message: 'holds what no store takes' }),
  type: z.string().min(1).max(255),
});
export const subscriptionUpdated = billingEvent.extend({
  type: z.literal('subscription.updated'),
  organizationId: id,
  status: subscriptionStatus,
  occurredAt: boundInstant
    .optional()
    .meta({ description: 'Where it is said: an event older than the one that counts is taken without effect.' }),
});
