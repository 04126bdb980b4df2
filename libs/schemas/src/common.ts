import { z } from 'zod';

const hex = '[0-9a-fA-F]';
/** Digits one by one: half the time of counted repetition, and every ping is checked three times on its way. */
const canonicalUuid = new RegExp(`^${[8, 4, 4, 4, 12].map((digits) => hex.repeat(digits)).join('-')}$`);

/** Any UUID in canonical lower- or upper-case form. */
export const id = z.string().regex(canonicalUuid, 'not a UUID').meta({ format: 'uuid' });

/** Ids that are stored or compared: hex digits come in two cases, one of them is kept. */
export const givenId = id.toLowerCase().meta({ format: 'uuid' });

/** Whole milliseconds since the epoch, UTC. Events carry these; HTTP carries ISO 8601. */
export const instantMs = z.int().min(0);

/** ISO 8601 with an offset or Z, any precision down to milliseconds. */
export const instant = z.iso.datetime({ offset: true });

/** As `instant`, and within the years that every store and clock knows: for queries, whose bounds may be anything. */
export const boundInstant = instant.refine((text) => Math.abs(Date.parse(text)) <= Date.UTC(9999, 11, 31), {
  message: 'not within the years up to 9999',
});

/**
 * Epoch milliseconds of a text that `instant` has accepted. `Date.parse` is half the cost of judging a ping; the one
 * form that nearly all agents send, `2026-11-21T10:00:00.000Z`, is read digit by digit instead.
 */
export function epochMs(text: string): number {
  if (text.length !== 24 || text.charCodeAt(23) !== 90 /* Z */ || text.charCodeAt(19) !== 46 /* . */)
    return Date.parse(text);
  const d = (at: number): number => text.charCodeAt(at) - 48;
  const two = (at: number): number => d(at) * 10 + d(at + 1);
  // Date.UTC takes the years 0–99 for 1900–1999.
  const year = two(0) * 100 + two(2);
  if (year < 100) return Date.parse(text);
  return Date.UTC(year, two(5) - 1, two(8), two(11), two(14), two(17), two(20) * 10 + d(22));
}

export const pingState = z.enum(['active', 'idle']);
export type PingState = z.output<typeof pingState>;

/** A device is named by its agent: any text of 1–128 characters. */
export const eventDeviceId = z.string().min(1).max(128);

/** An IANA zone that this runtime knows, e.g. `Asia/Kathmandu`. */
export const timezone = z
  .string()
  .max(64)
  .refine((zone) => isTimezone(zone), { message: 'not an IANA timezone' });

/**
 * What `Intl` takes besides IANA's names, from the early days of Java: there `BST` is Dhaka and `IST` Kolkata, which is
 * hardly ever meant. (`EST`, `MST`, `HST`, `CET` … are IANA's own.)
 */
const notIana =
  /^(ACT|AET|AGT|ART|AST|BET|BST|CAT|CNT|CST|CTT|EAT|ECT|IET|IST|JST|MIT|NET|NST|PLT|PNT|PRT|PST|SST|VST|SystemV\/.*)$/i;

export function isTimezone(zone: string): boolean {
  // Offsets such as "+05:00" are accepted by Intl but have no rules for the past; reports need a place.
  if (!/^[A-Za-z]/.test(zone) || notIana.test(zone)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** A calendar day without a zone, `2026-11-21`. */
export const localDate = z.iso.date();

/** What every list takes. */
export const pageQuery = {
  cursor: z.string().min(1).max(1024).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
};

/** What every list answers. */
export const page = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });

/**
 * For the body of a PATCH, once unknown fields are gone: a misspelt field that seems to be taken would be found out too late.
 * @param besides fields that say how, not what.
 */
export const namesSomething = (...besides: readonly string[]) =>
  [
    (change: object): boolean =>
      Object.entries(change).some(([name, value]) => value !== undefined && !besides.includes(name)),
    { message: 'names nothing to change' },
  ] as const;
