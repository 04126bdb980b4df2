import type { Random } from '../random.ts';

/**
 * What people have on their screens. Names beyond ASCII, and two that UTF-16 and code points put in different orders,
 * are there because lawful agents send them.
 */
export const apps = [
  'Code',
  'Terminal',
  'Slack',
  'Figma',
  'Microsoft Excel',
  'microsoft excel',
  'Microsoft Word',
  'Zoom',
  'Postico',
  'Mail',
  'Übersicht',
  'メモ帳',
  'ｅ-Office',
  '🎵 Player',
  'O\'Reilly \\ "Reader"',
] as const;

export const browsers = ['Google Chrome', 'Firefox', 'Safari'] as const;

export const editors = ['Code', 'WebStorm', 'vim'] as const;

export const hosts = [
  'github.com',
  'docs.google.com',
  'stackoverflow.com',
  'app.slack.com',
  'mail.google.com',
  'jira.example.com',
  'news.ycombinator.com',
  'xn--bcher-kva.example',
  'localhost',
  '192.168.1.20',
] as const;

/** Zones whose days are not all alike: half and quarter hours, half-hour DST, midnight skipped or twice, +14. */
export const zones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'America/Santiago',
  'America/Havana',
  'Pacific/Chatham',
  'Pacific/Kiritimati',
  'Asia/Kolkata',
  'Africa/Cairo',
  'America/St_Johns',
] as const;

/** A URL of this host in one of the spellings that mean the same host. */
export function urlOf(host: string, random: Random): string {
  const path = random.pick(['/', '', '/a/b?q=1#top', '/search?q=w%C3%B6rk', '?x=/y']);
  const isName = /[a-z]/.test(host) && host.includes('.');
  switch (random.int(0, 7)) {
    case 0:
      return `http://${host}:8080${path}`;
    case 1:
      return isName ? `https://www.${host}${path}` : `https://${host}${path}`;
    case 2:
      return isName ? `HTTPS://WWW.${host.toUpperCase()}:443${path}` : `https://${host}${path}`;
    case 3:
      return `https://ada:secret@${host}${path}`;
    default:
      return `https://${host}${path}`;
  }
}
