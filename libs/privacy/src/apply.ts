import { derivedUuid } from '@worktide/runtime';
import { hostJudged, type Pause, type PingEvent, type PrivacyRule, type PrivacyRules } from '@worktide/schemas';
import { compileGlobs, type Matches } from './glob.ts';
import { compileHours, type Span, type Week, withinHours } from './hours.ts';

/** Why something was taken away. What the names of rules are, or what they met, is nobody's business. */
export const privacyKinds = [
  'drop',
  'redact-title',
  'host-only',
  'titles',
  'urls',
  'hours',
  'pause',
  'private-window',
] as const;
export type PrivacyKind = (typeof privacyKinds)[number];

interface CompiledRule {
  rule: PrivacyRule;
  meets(app: string, host: string | null): boolean;
}

/** The rules of an organisation, ready to be applied. */
export interface CompiledPrivacy {
  rules: readonly CompiledRule[];
  titles: PrivacyRules['titles'];
  urls: PrivacyRules['urls'];
  hours: { week: Week; timezone: string } | undefined;
  /** Whether there is no rule at all, as with most organisations: nothing has to be looked at then. */
  keepsAll: boolean;
}

/** Of whom it is told. */
export interface Observed {
  /** IANA zone of the person. */
  timezone: string;
  pause?: Pause | undefined;
}

/** What is kept of a ping, and why it is not all of it. */
export interface Kept {
  /** None, or the ping, or pieces of it in order. */
  pings: PingEvent[];
  taken: PrivacyKind[];
}

/** However somebody writes it. */
const folded = (text: string): string => text.normalize('NFC').toLowerCase();

const nothing: Matches = () => false;

/** `*.example.com` is the site itself, too: whoever names all that is below it does not mean to leave that out. */
const hostGlobs = (hosts: readonly string[]): string[] =>
  hosts.flatMap((host) => (host.startsWith('*.') ? [host, host.slice(2)] : [host]));

function compileRule(rule: PrivacyRule): CompiledRule {
  const app = rule.apps?.length ? compileGlobs(rule.apps.map(folded)) : nothing;
  const host = rule.hosts?.length ? compileGlobs(hostGlobs(rule.hosts.map(folded))) : nothing;
  return { rule, meets: (foldedApp, name) => app(foldedApp) || (name !== null && host(name)) };
}

/** Makes rules ready to be applied, as they stand in the settings of an organisation. */
export function compilePrivacy({ rules, titles, urls, trackingHours }: PrivacyRules): CompiledPrivacy {
  return {
    rules: rules.map(compileRule),
    titles,
    urls,
    hours: trackingHours ? { week: compileHours(trackingHours), timezone: trackingHours.timezone } : undefined,
    keepsAll: rules.length === 0 && titles === 'keep' && urls === 'keep' && !trackingHours,
  };
}

/** Rules that a ping meets, by kind. */
export function rulesMet({ rules }: CompiledPrivacy, ping: Pick<PingEvent, 'app' | 'host'>): PrivacyRule[] {
  if (rules.length === 0) return [];
  const name = folded(ping.app);
  const host = hostJudged(ping as PingEvent);
  return rules.filter(({ meets }) => meets(name, host)).map(({ rule }) => rule);
}

/**
 * What is kept of a ping under the rules of its organisation and the pause of its person. While a pause holds that is nothing;
 * afterwards what lies in it is cut out. Pure: the same ping under the same rules is the same pieces, ids included.
 * @param ping is not changed.
 * @param given.privateWindow of a browser window that is to leave no traces.
 */
export function applyPrivacy(
  privacy: CompiledPrivacy,
  ping: PingEvent,
  observed: Observed,
  nowMs: number,
  given: { privateWindow?: boolean } = {},
): Kept {
  if (given.privateWindow) return { pings: [], taken: ['private-window'] };
  if (privacy.keepsAll && !observed.pause) return { pings: [ping], taken: [] };
  if (isPaused(observed, nowMs)) return { pings: [], taken: ['pause'] };
  const met = rulesMet(privacy, ping);
  if (met.some(({ kind }) => kind === 'drop')) return { pings: [], taken: ['drop'] };
  const taken = new Set<PrivacyKind>();
  const words = withoutWords(privacy, ping, met, taken);
  return { pings: cut(words, spansKept(privacy, ping, observed, taken)), taken: [...taken] };
}

/** Why nothing is kept of what was observed over [start, end), of which there are no pieces; undefined where it is kept. */
export function takenAt(
  { hours }: CompiledPrivacy,
  { start, end }: Span,
  observed: Observed,
  nowMs: number,
): 'hours' | 'pause' | undefined {
  const { pause } = observed;
  if (isPaused(observed, nowMs) || (pause && start < pause.until && end > pause.from)) return 'pause';
  if (!hours) return undefined;
  const within = withinHours({ start, end }, hours.week, zoneOf(hours, observed));
  return within.length === 1 && within[0]!.start === start && within[0]!.end === end ? undefined : 'hours';
}

/** Whether everything of a person is to be taken and kept nowhere, whatever time it is about. */
export const isPaused = ({ pause }: Observed, nowMs: number): boolean => pause !== undefined && nowMs < pause.until;

const zoneOf = (hours: { timezone: string }, { timezone }: Observed): string =>
  hours.timezone === 'user' ? timezone : hours.timezone;

/** Title and address as far as they may be kept. */
function withoutWords(
  { titles, urls }: CompiledPrivacy,
  ping: PingEvent,
  met: readonly PrivacyRule[],
  taken: Set<PrivacyKind>,
): PingEvent {
  const { title, url, ...rest } = ping;
  const kept: PingEvent = rest;
  const ruled = (kind: PrivacyRule['kind']): boolean => met.some((rule) => rule.kind === kind);
  if (title !== undefined) {
    if (titles === 'never') taken.add('titles');
    else if (ruled('redact-title')) taken.add('redact-title');
    else kept.title = title;
  }
  if (url !== undefined) {
    const why = urls === 'host' ? 'urls' : ruled('host-only') ? 'host-only' : undefined;
    kept.url = why ? siteOf(url) : url;
    if (why && kept.url !== url) taken.add(why);
  }
  return kept;
}

/** An address up to its host. Of a scheme without hosts only the scheme was kept before. */
function siteOf(url: string): string {
  if (!/^https?:/i.test(url)) return url;
  const { protocol, hostname } = new URL(url);
  return `${protocol}//${hostname}/`;
}

function spansKept(
  { hours }: CompiledPrivacy,
  { startedAt: start, endedAt }: PingEvent,
  observed: Observed,
  taken: Set<PrivacyKind>,
): Span[] | undefined {
  const { pause } = observed;
  // What has no length is an instant, which covers a millisecond.
  const whole = { start, end: Math.max(endedAt, start + 1) };
  let spans = [whole];
  if (hours) spans = withinHours(whole, hours.week, zoneOf(hours, observed));
  if (hours && !isWhole(spans, whole)) taken.add('hours');
  if (pause && pause.from < whole.end && start < pause.until) {
    const before = spans.reduce(sum, 0);
    spans = spans.flatMap((span) => [
      ...(span.start < pause.from ? [{ start: span.start, end: Math.min(span.end, pause.from) }] : []),
      ...(span.end > pause.until ? [{ start: Math.max(span.start, pause.until), end: span.end }] : []),
    ]);
    if (spans.reduce(sum, 0) < before) taken.add('pause');
  }
  return isWhole(spans, whole) ? undefined : spans;
}

const sum = (total: number, { start, end }: Span): number => total + end - start;
const isWhole = ([first, ...more]: Span[], { start, end }: Span): boolean =>
  more.length === 0 && first?.start === start && first.end === end;

/** The first piece goes on under the id of the ping, so that most that are cut keep it. */
const cut = (ping: PingEvent, spans: Span[] | undefined): PingEvent[] =>
  spans
    ? spans.map(({ start, end }, i) => ({
        ...ping,
        id: i === 0 ? ping.id : derivedUuid('piece', ping.id, start),
        startedAt: start,
        endedAt: Math.min(end, Math.max(ping.endedAt, start)),
      }))
    : [ping];
