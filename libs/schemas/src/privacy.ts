import { domainToASCII } from 'node:url';
import { isStorable, uuidv7 } from '@worktide/runtime';
import { z } from 'zod';
import { boundInstant, instantMs, timezone } from './common.ts';

/** What an organisation decides is never recorded, and what people are told of it. */

export const maxPrivacyRules = 100;
/** Of all rules together: each of them may be tried on each ping. */
export const maxPrivacyGlobs = 200;
const maxGlobLength = 100;

/**
 * A pattern of which `*` stands for any characters and everything else for itself. There is no other wildcard, so that one
 * look through a text decides it, whatever the pattern.
 */
const glob = z
  .string()
  .max(4 * maxGlobLength)
  .transform((text) => text.normalize('NFC').trim().replaceAll(/\*+/g, '*'))
  .refine((text) => text !== '' && [...text].length <= maxGlobLength, {
    message: `must have 1–${maxGlobLength} characters`,
  })
  .refine((text) => isStorable(text) && !/\p{Cc}/u.test(text), { message: 'holds what no name has' })
  .refine((text) => !text.includes('?'), { message: '`*` is the only wildcard' });

/** As hosts of pings are kept: lower case, ASCII, without `www.`, port and closing dot. */
const hostGlob = glob.transform((text, context) => {
  const labels = text.toLowerCase().replace(/\.$/, '').split('.');
  const ascii = labels.map((label) =>
    /\P{ASCII}/u.test(label) && !label.includes('*') ? domainToASCII(label) : label,
  );
  const host = ascii.join('.');
  if (!/^[a-z0-9*._:[\]-]+$/.test(host) || ascii.includes('')) {
    context.addIssue({ code: 'custom', message: 'not the name of a host: no scheme, port or path' });
    return z.NEVER;
  }
  return host.startsWith('www.') && host.includes('.', 4) ? host.slice(4) : host;
});

const ruleId = z
  .string()
  .min(1)
  .max(64)
  .refine((text) => isStorable(text) && !/\p{Cc}/u.test(text), { message: 'holds what no id has' });

export const privacyRule = z
  .object({
    id: ruleId.meta({ description: 'Any text of 1–64 characters; made where it is left out.' }),
    kind: z.enum(['drop', 'redact-title', 'host-only']).meta({
      description: '`drop`: the ping; `redact-title`: its title; `host-only`: all of its address but the host.',
    }),
    apps: z.array(z.string()).optional(),
    hosts: z.array(z.string()).optional().meta({
      description:
        '`*.example.com` is example.com and everything below it. A ping that one of apps or hosts names is meant.',
    }),
  })
  .meta({ id: 'PrivacyRule' });
export type PrivacyRule = z.output<typeof privacyRule>;

const givenRule = z
  .strictObject({
    id: ruleId.optional(),
    kind: privacyRule.shape.kind,
    apps: z.array(glob).max(maxPrivacyGlobs).optional(),
    hosts: z.array(hostGlob).max(maxPrivacyGlobs).optional(),
  })
  .refine(({ apps = [], hosts = [] }) => apps.length + hosts.length > 0, { message: 'names neither apps nor hosts' })
  .transform(({ id = uuidv7(), ...rule }) => ({ id, ...rule }));

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof weekdays)[number];

/** More than anybody's day has breaks, and a bound on the pieces that one ping may be cut into. */
export const maxHoursPerDay = 4;
const clock = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'not a time like 09:00');
const hours = z.tuple([clock, clock]).refine(([from, to]) => from < to, {
  message: 'ends before it begins: over midnight it is two, to 24:00 and from 00:00',
});
const day = z.array(hours).max(maxHoursPerDay);

export const trackingHours = z
  .strictObject({
    timezone: z.union([z.literal('user'), timezone]).meta({ description: '`user`: each person’s own zone.' }),
    days: z.strictObject({
      mon: day.optional(),
      tue: day.optional(),
      wed: day.optional(),
      thu: day.optional(),
      fri: day.optional(),
      sat: day.optional(),
      sun: day.optional(),
    }),
  })
  .meta({
    id: 'TrackingHours',
    description:
      'What the clock shows while something may be recorded, from (included) to (not). A day left out has none.',
  });
export type TrackingHours = z.output<typeof trackingHours>;

const titles = z.enum(['keep', 'never']);
const urls = z.enum(['keep', 'host']);
const blur = z.int().min(0).max(3);

/** As it is kept, without the blur, which is a setting of the organisation. */
export const privacyRules = z.object({
  rules: z.array(privacyRule).default([]),
  titles: titles.default('keep'),
  urls: urls.default('keep'),
  trackingHours: trackingHours.nullable().default(null),
});
export type PrivacyRules = z.output<typeof privacyRules>;

export const noPrivacyRules: PrivacyRules = privacyRules.parse({});

export const privacy = z
  .object({
    rules: z.array(privacyRule),
    titles,
    urls,
    minimumBlurLevel: blur.meta({ description: 'The setting of the organisation of that name.' }),
    trackingHours: trackingHours.nullable(),
    version: z.int(),
  })
  .meta({ id: 'Privacy' });
export type Privacy = z.output<typeof privacy>;

const given = {
  rules: z.array(givenRule).max(maxPrivacyRules).default([]),
  titles: titles.default('keep'),
  urls: urls.default('keep'),
  minimumBlurLevel: blur.optional().meta({ description: 'As it is, unless said.' }),
  trackingHours: trackingHours.nullable().default(null),
};

function checkRules({ rules }: { rules: PrivacyRule[] }, context: z.RefinementCtx): void {
  const count = rules.reduce((sum, { apps = [], hosts = [] }) => sum + apps.length + hosts.length, 0);
  if (count > maxPrivacyGlobs) {
    context.addIssue({
      code: 'custom',
      path: ['rules'],
      message: `more than ${maxPrivacyGlobs} apps and hosts in all`,
    });
  }
  if (new Set(rules.map(({ id }) => id)).size < rules.length) {
    context.addIssue({ code: 'custom', path: ['rules'], message: 'two rules have one id' });
  }
}

/** Rules and hours are strict: a misspelt one that seems to be taken would be found out too late. */
export const privacyChange = z
  .object({ ...given, version: z.int().min(0).meta({ description: 'Of what was read; else 409.' }) })
  .superRefine(checkRules);
export type PrivacyChange = z.output<typeof privacyChange>;

export const privacyPreviewBody = z.object({
  privacy: z.object(given).superRefine(checkRules),
});

const lost = z.object({
  pings: z.int(),
  seconds: z.int().meta({ description: 'The lengths of the pings, added up.' }),
});
export const privacyPreview = z
  .object({
    date: z.iso.date().meta({ description: 'Yesterday, in the zone of the organisation.' }),
    timezone: z.string(),
    pings: z.int().meta({ description: 'That were looked at.' }),
    truncated: z.boolean().meta({ description: 'There were more than were looked at.' }),
    dropped: lost,
    outsideHours: lost.meta({ description: 'What of the pings that stay lies outside the tracking hours.' }),
    titles: z.int().meta({ description: 'Pings that would have lost their title, and stayed.' }),
    urls: z.int().meta({ description: 'Pings of whose address only the host would have stayed.' }),
    rules: z.array(lost.extend({ id: z.string(), kind: privacyRule.shape.kind })).meta({
      description: 'What each rule meets, also where another one meets it, too.',
    }),
  })
  .meta({ id: 'PrivacyPreview' });
export type PrivacyPreview = z.output<typeof privacyPreview>;

/** When somebody paused what is recorded of them: the last time, also when it is over. Epoch ms, `until` not included. */
export const pause = z.object({ from: instantMs, until: instantMs });
export type Pause = z.output<typeof pause>;

export const maxPauseDays = 31;
export const pauseBody = z.object({
  until: boundInstant
    .refine((text) => Date.parse(text) > Date.now(), { message: 'has passed' })
    .refine((text) => Date.parse(text) <= Date.now() + maxPauseDays * 86_400_000, {
      message: `is more than ${maxPauseDays} days ahead`,
    }),
});
export const pauseAnswer = z
  .object({ pausedFrom: z.iso.datetime(), pausedUntil: z.iso.datetime() })
  .meta({ id: 'Pause' });

const collected = z.object({
  kind: z.enum([
    'pings',
    'titles',
    'urls',
    'usage',
    'input-counts',
    'screenshots',
    'time-entries',
    'presence',
    'audit',
  ]),
  what: z.string(),
  collected: z.enum(['yes', 'in-part', 'no']),
  rules: z.array(z.string()).meta({ description: 'In words, what is taken away of it.' }),
  keptFor: z.string(),
  seenBy: z.array(z.string()),
});
export const myPrivacy = z
  .object({
    collected: z.array(collected),
    privacy: privacy.omit({ version: true }),
    timezone: z.string().meta({ description: 'My own, in which tracking hours of `user` are.' }),
    pausedUntil: z.iso.datetime().nullable(),
  })
  .meta({ id: 'MyPrivacy' });
export type MyPrivacy = z.output<typeof myPrivacy>;
