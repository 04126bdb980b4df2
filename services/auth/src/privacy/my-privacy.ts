import type { MyPrivacy, OrganizationSettings, Pause, Privacy } from '@worktide/schemas';

/** What is told of somebody's own data: what is collected, by which rules, for how long, and who sees it. Pure. */
export function myPrivacyOf(
  { version: _, ...privacy }: Privacy,
  settings: OrganizationSettings,
  person: { timezone: string; pause: Pause | undefined },
  nowMs: number,
): MyPrivacy {
  const { titles, urls, trackingHours, minimumBlurLevel } = privacy;
  const ruled = privacy.rules.map(({ kind, apps = [], hosts = [] }) => ({ kind, of: [...apps, ...hosts].join(', ') }));
  const words = (kind: (typeof ruled)[number]['kind'], text: string): string[] =>
    ruled.filter((rule) => rule.kind === kind).map(({ of }) => `${text} ${of}`);
  const always = ['Nothing while I pause, and nothing of the time of my last pause.'];
  if (trackingHours) {
    const zone = trackingHours.timezone === 'user' ? `my own zone (${person.timezone})` : trackingHours.timezone;
    const days = Object.entries(trackingHours.days)
      .filter(([, hours]) => hours !== undefined && hours.length > 0)
      .map(([day, hours = []]) => `${day} ${hours.map(([from, to]) => `${from}–${to}`).join(' and ')}`);
    always.push(`Nothing outside of ${days.join(', ') || 'no hours at all'}, in ${zone}.`);
  }
  const dropped = words('drop', 'Nothing of');
  const reads = ['me', 'managers and administrators', 'who leads a team of mine'];
  const nobodyReads = ['nobody: no list, report or view shows it'];
  const blur = ['none', 'a light', 'a strong', 'the strongest'][minimumBlurLevel]!;
  return {
    privacy,
    timezone: person.timezone,
    pausedUntil: person.pause && person.pause.until > nowMs ? new Date(person.pause.until).toISOString() : null,
    collected: [
      {
        kind: 'pings',
        what: 'Which application was in front, on which device, from when to when, active or idle.',
        collected: dropped.length > 0 || trackingHours ? 'in-part' : 'yes',
        rules: [...dropped, 'Nothing of private browser windows.', ...always],
        keptFor: '100 days',
        seenBy: nobodyReads,
      },
      {
        kind: 'titles',
        what: 'Titles of windows.',
        collected: titles === 'never' ? 'no' : ruled.length > 0 ? 'in-part' : 'yes',
        rules: titles === 'never' ? ['None is kept.'] : words('redact-title', 'None of'),
        keptFor: titles === 'never' ? 'not at all' : '100 days',
        seenBy: nobodyReads,
      },
      {
        kind: 'urls',
        what: 'Addresses of pages, without credentials.',
        collected: urls === 'host' || ruled.length > 0 ? 'in-part' : 'yes',
        rules: urls === 'host' ? ['Of each only the host is kept.'] : words('host-only', 'Only the host of'),
        keptFor: '100 days; hosts as usage',
        seenBy: nobodyReads,
      },
      {
        kind: 'usage',
        what: 'What follows from pings: applications and hosts, and when I was active or idle.',
        collected: dropped.length > 0 || trackingHours ? 'in-part' : 'yes',
        rules: [...dropped, ...always],
        keptFor: 'as many months as the operator has set (USAGE_RETENTION_MONTHS), or until I have it erased',
        seenBy: reads,
      },
      {
        kind: 'input-counts',
        what: 'How often keys were pressed and the mouse was moved in a minute; never which keys.',
        collected: trackingHours ? 'in-part' : 'yes',
        rules: always,
        keptFor: 'as usage',
        seenBy: reads,
      },
      {
        kind: 'screenshots',
        what: 'Pictures of the screen, where an agent takes them.',
        collected: trackingHours ? 'in-part' : 'yes',
        rules: [
          `Blurred before they are kept: ${blur}${minimumBlurLevel > 0 ? ' blur at least' : ' demanded'}.`,
          ...always,
        ],
        keptFor: `${settings.screenshotRetentionDays} days`,
        seenBy: reads,
      },
      {
        kind: 'time-entries',
        what: 'What I, or my managers, enter as time worked, and each change of it.',
        collected: 'yes',
        rules: ['They are what somebody states, not what is observed: no rule takes any away.'],
        keptFor: settings.timeEntryRetentionDays === null ? 'for ever' : `${settings.timeEntryRetentionDays} days`,
        seenBy: reads,
      },
      {
        kind: 'presence',
        what: `Whether I am online, idle or offline${settings.showCurrentApp ? ', and in which application' : ''}.`,
        collected: trackingHours || dropped.length > 0 ? 'in-part' : 'yes',
        rules: always,
        keptFor: 'minutes; when I was last seen: until the next time',
        seenBy: reads,
      },
      {
        kind: 'audit',
        what: 'What I did to objects of the organisation, from which address.',
        collected: 'yes',
        rules: [],
        keptFor: '400 days',
        seenBy: ['administrators'],
      },
    ],
  };
}
