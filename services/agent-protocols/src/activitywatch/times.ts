/** The protocol's times are kept as microseconds since the epoch, which is the finest that its clients send. */
export const perMs = 1_000;
export const perSecond = 1_000_000;

const timestamp = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?$/i;
const latest = Date.UTC(9999, 0) * perMs;

/** @returns microseconds; undefined for what is no time. Without a zone it is UTC, as for ActivityWatch. */
export function readTimestamp(text: string): number | undefined {
  const [, date, time = '00:00', fraction = '', zone = 'Z'] = timestamp.exec(text) ?? [];
  if (date === undefined) return undefined;
  const offset = /^[+-]\d\d$/.test(zone) ? `${zone}:00` : zone.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2').toUpperCase();
  const ms = Date.parse(`${date}T${time}${time.length === 5 ? ':00' : ''}${offset}`);
  const at = ms * perMs + Number(fraction.padEnd(6, '0').slice(0, 6));
  return at >= 0 && at < latest ? at : undefined;
}

/** As ActivityWatch shows it. */
export function shownTimestamp(at: number): string {
  const seconds = new Date(Math.floor(at / perMs)).toISOString().slice(0, 19);
  return `${seconds}.${String(at % perSecond).padStart(6, '0')}+00:00`;
}
