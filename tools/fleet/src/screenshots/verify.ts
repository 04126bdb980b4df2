import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import sharp from 'sharp';
import { type Account, inParallel } from '../accounts.ts';
import type { Reader, ScreenshotItem } from '../verify/read.ts';
import type { ShotLedger, ShotRecord } from './ledger.ts';
import { distanceOf, sharpnessOf } from './likeness.ts';
import { drawShot, type Shot } from './shots.ts';

export interface ShotVerification {
  equal: boolean;
  /** Acknowledged ones that are listed, `ready` and good to look at. */
  ready: number;
  /** Acknowledged broken ones that are `failed` with the code they must have. */
  failed: number;
  /** How many were ready at each level of blur. */
  levels: number[];
  differences: { userId: string; count: number; first: string[] }[];
  /** From the first comparison to the last one, seconds. */
  tookSeconds: number;
}

export interface ShotVerifyOptions {
  ledger: ShotLedger;
  reader: Pick<Reader, 'screenshots' | 'picture'>;
  accounts: readonly Account[];
  /** How long they may take to be ready, seconds. */
  settleSeconds: number;
}

/** Pictures are decoded and drawn again; more at once would only take the cores from the product. */
const parallelUsers = 2;
const differencesKept = 5;
const pollMs = 500;
/** Of the original's at levels 2 and 3. */
const sharpnessLeft = 0.08;
/** Desktops at the strongest blur were up to 9 from their original, different ones 15 and more from each other. */
const farthest = 14;
const thumbnailWidth = 640;

/** The level that a screenshot must have been blurred to. */
const levelOf = (shot: Shot, account: Account): number => Math.max(shot.blurLevel ?? 0, account.minimumBlurLevel);

/** @returns one sentence per difference between what was acknowledged and what is listed. */
export function compareListed(
  expected: ReadonlyMap<string, ShotRecord>,
  items: readonly ScreenshotItem[],
  account: Account,
): string[] {
  const differences: string[] = [];
  const ids = new Set<string>();
  let last = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const say = (what: string): void => void differences.push(`screenshot ${item.id}: ${what}`);
    if (ids.has(item.id)) say('comes twice');
    ids.add(item.id);
    if (item.userId !== account.userId) say(`of another user (${item.userId})`);
    const at = Date.parse(item.capturedAt);
    if (at > last) say('not in order of time, newest first');
    last = at;
    const record = expected.get(item.id);
    if (!record || record.fate === 'refused') say('must not be there');
    else if (record.fate === 'acknowledged') for (const what of differencesOf(record.shot, item, account)) say(what);
  }
  for (const [id, { fate }] of expected) {
    if (fate === 'acknowledged' && !ids.has(id)) differences.push(`screenshot ${id}: missing`);
  }
  return differences;
}

function differencesOf(shot: Shot, item: ScreenshotItem, account: Account): string[] {
  const code = item.failure?.code;
  const status = item.status === 'failed' ? `failed (${code})` : item.status;
  if (shot.attack) {
    const { name, failed = [] } = shot.attack;
    if (item.status !== 'failed' || !failed.includes(code ?? '')) {
      return [`${name}: ${status}, must be failed (${failed.join(' or ')})`];
    }
    return item.url === null && item.thumbnailUrl === null ? [] : [`${name}: failed and has a link`];
  }
  if (item.status !== 'ready') return [`${status}, must be ready`];
  const differences: string[] = [];
  const same = (name: string, is: unknown, must: unknown): void => {
    if (!isDeepStrictEqual(is, must)) {
      differences.push(`${name} ${JSON.stringify(is)}, must be ${JSON.stringify(must)}`);
    }
  };
  same('blurLevel', item.blurLevel, levelOf(shot, account));
  same('width', item.width, shot.width);
  same('height', item.height, shot.height);
  same('capturedAt', Date.parse(item.capturedAt), shot.capturedAt);
  same('metadata', item.metadata, shot.metadata);
  return differences;
}

/** What is wrong with what the links of a listed one deliver. */
async function lookAt(shot: Shot, item: ScreenshotItem, account: Account, reader: ShotVerifyOptions['reader']) {
  const differences: string[] = [];
  const say = (what: string): void => void differences.push(`screenshot ${item.id}: ${what}`);
  if (item.url === null || item.thumbnailUrl === null) return [`screenshot ${item.id}: ready and without links`];
  const [picture, thumbnail] = await Promise.all([reader.picture(item.url), reader.picture(item.thumbnailUrl)]);
  const original = await drawShot(shot);
  const size = await sharp(picture).metadata();
  if (size.width !== shot.width || size.height !== shot.height) {
    say(`the picture is ${size.width} × ${size.height}, must be ${shot.width} × ${shot.height}`);
  }
  const small = await sharp(thumbnail).metadata();
  if (small.width > thumbnailWidth) say(`the thumbnail is ${small.width} wide`);
  for (const [name, file] of [['picture', picture] as const, ['thumbnail', thumbnail] as const]) {
    const distance = await distanceOf(original, file);
    if (distance > farthest) say(`the ${name} shows something else (${distance.toFixed(0)} apart)`);
  }
  if (levelOf(shot, account) >= 2) {
    const left = (await sharpnessOf(picture)) / (await sharpnessOf(original));
    if (left >= sharpnessLeft) say(`${(100 * left).toFixed(1)} % of its detail is left at level ${item.blurLevel}`);
  }
  return differences;
}

/** Compares every user until all are equal or the deadline passes; pictures are looked at once the list is right. */
export async function verifyShots(options: ShotVerifyOptions): Promise<ShotVerification> {
  const { ledger, reader, accounts } = options;
  const startedAt = Date.now();
  const deadline = startedAt + options.settleSeconds * 1000;
  const differences = new Map<string, string[]>();
  const levels = [0, 0, 0, 0];
  let failed = 0;

  async function compare(account: Account): Promise<string[]> {
    const expected = ledger.of(account.userId);
    const items = await reader.screenshots(account);
    const listed = compareListed(expected, items, account);
    if (listed.length > 0) return listed;
    const good = items.filter(({ id }) => expected.get(id)?.fate === 'acknowledged');
    for (const item of good.filter(({ status }) => status === 'ready')) {
      listed.push(...(await lookAt(expected.get(item.id)!.shot, item, account, reader)));
    }
    if (listed.length > 0) return listed;
    for (const { status, blurLevel } of good) {
      if (status === 'ready') levels[blurLevel ?? 0]!++;
      else failed++;
    }
    return [];
  }

  for (let left = accounts; ; await sleep(pollMs)) {
    await inParallel(left, parallelUsers, async (account) => {
      const found = await compare(account).catch((error: unknown) => [String(error)]);
      if (found.length > 0) differences.set(account.userId, found);
      else differences.delete(account.userId);
    });
    left = left.filter(({ userId }) => differences.has(userId));
    if (left.length === 0 || Date.now() > deadline) break;
  }
  return {
    equal: differences.size === 0,
    ready: levels.reduce((a, b) => a + b, 0),
    failed,
    levels,
    differences: [...differences].map(([userId, found]) => ({
      userId,
      count: found.length,
      first: found.slice(0, differencesKept),
    })),
    tookSeconds: (Date.now() - startedAt) / 1000,
  };
}
