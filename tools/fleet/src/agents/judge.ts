import type { Answer } from '../client.ts';
import type { WirePing } from '../oracle/ledger.ts';
import type { PingRequest } from './uploads.ts';

/** What a final answer means for the ledger, and what is wrong with it. */
export interface Judged {
  acknowledged: WirePing[];
  rejectedCodes: string[];
  /** Absent where the answer is what it must be. */
  complaint?: string;
}

interface Rejection {
  index: number;
  code: string;
  message: string;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The code of an error answer, `?` where there is none. */
export function codeOf(answer: Answer): string {
  const code = (parse(answer.text) as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '?';
}

/** The items of `list` that are rejections as the interface has them; undefined where it is something else. */
function rejections(list: unknown): Rejection[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const wellFormed = list.every(
    (r) => Number.isInteger(r?.index) && /^[A-Z][A-Z0-9_]*$/.test(r?.code) && typeof r?.message === 'string',
  );
  return wellFormed ? list : undefined;
}

/** A refusal of the whole request: status, code and the one error shape. */
function judgeRefusal(request: PingRequest, answer: Answer): string | undefined {
  const { expected } = request;
  const body = parse(answer.text) as Record<string, unknown> | undefined;
  // Without request id and time, so that equal complaints are counted as one.
  const shown = `${answer.status} ${body?.code ?? 'without a code'}: ${body?.message ?? answer.text.slice(0, 200)}`;
  if (!('codes' in expected) || answer.status !== expected.status) return `expected ${expected.status}, got ${shown}`;
  const shapely = body?.statusCode === answer.status && typeof body.message === 'string' && 'requestId' in body;
  if (!shapely) return `not the error shape: ${shown}`;
  if (!expected.codes.includes(String(body.code))) return `expected ${expected.codes.join(' or ')}, got ${shown}`;
  return undefined;
}

/** @param answer one that is not temporary. */
export function judge(request: PingRequest, answer: Answer): Judged {
  const called = request.attack === undefined ? 'a lawful request' : request.attack;
  const complaint = (what: string): string => `${called}: ${what}`;
  if ('protocol' in request.expected) return judgeForeign(request, answer, request.expected);
  if (answer.status !== 202) {
    const wrong = judgeRefusal(request, answer);
    const rejectedCodes = request.items.map(() => codeOf(answer));
    return { acknowledged: [], rejectedCodes, ...(wrong ? { complaint: complaint(wrong) } : {}) };
  }

  const body = parse(answer.text) as { accepted?: unknown; rejected?: unknown; warnings?: unknown } | undefined;
  const rejected = rejections(body?.rejected);
  const warnings = body?.warnings === undefined ? [] : rejections(body.warnings);
  // An acknowledgement that cannot be read is one all the same: the pings are in, and the ledger must say so.
  const codes = new Map((rejected ?? []).map((r) => [r.index, r.code]));
  const acknowledged = request.items.filter((ping, i): ping is WirePing => ping !== undefined && !codes.has(i));
  const judged: Judged = { acknowledged, rejectedCodes: [...codes.values()] };

  if (!('rejected' in request.expected)) {
    return { ...judged, complaint: complaint(`expected ${request.expected.status}, got 202`) };
  }
  const { rejected: wanted, warnings: wantedWarnings } = request.expected;
  if (!rejected || !warnings)
    return { ...judged, complaint: complaint(`not an answer to pings: ${answer.text.slice(0, 200)}`) };
  for (let i = 0; i < request.items.length; i++) {
    if (codes.get(i) !== wanted.get(i)) {
      const got = codes.get(i) ?? 'accepted';
      return { ...judged, complaint: complaint(`item ${i}: expected ${wanted.get(i) ?? 'accepted'}, got ${got}`) };
    }
  }
  if (body?.accepted !== request.items.length - wanted.size) {
    return { ...judged, complaint: complaint(`accepted is ${body?.accepted} of ${request.items.length} items`) };
  }
  const shown = (codesAt: Iterable<[number, string]>): string => [...codesAt].join(' ') || 'none';
  const [warned, toWarn] = [shown(warnings.map((w) => [w.index, w.code])), shown(wantedWarnings ?? [])];
  if (warned !== toWarn) return { ...judged, complaint: complaint(`expected warnings ${toWarn}, got ${warned}`) };
  return judged;
}

/** What another system's agents are answered: these are lawful, and all of it must be taken. */
function judgeForeign(
  { items, path }: PingRequest,
  answer: Answer,
  { status, protocol, or }: Extract<PingRequest['expected'], { protocol: string }>,
): Judged {
  const pings = items.filter((item): item is WirePing => item !== undefined);
  if (answer.status !== status && answer.status !== or) {
    const complaint = `${protocol}, ${path}: expected ${status}, got ${answer.status} ${codeOf(answer)}`;
    return { acknowledged: [], rejectedCodes: pings.map(() => codeOf(answer)), complaint };
  }
  if (protocol !== 'wakatime') return { acknowledged: pings, rejectedCodes: [] };
  const each = (parse(answer.text) as { responses?: [unknown, number][] } | undefined)?.responses;
  const statuses = Array.isArray(each) ? each.map(([, one]) => one) : [];
  const acknowledged = pings.filter((_, i) => statuses[i] === 201);
  if (acknowledged.length === pings.length && statuses.length === pings.length)
    return { acknowledged, rejectedCodes: [] };
  const complaint = `wakatime: ${acknowledged.length} of ${pings.length} heartbeats were taken, ${statuses.length} answered`;
  return { acknowledged, rejectedCodes: [], complaint };
}
