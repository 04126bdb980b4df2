import { drawScreenshot } from '../draw-screenshot.ts';
import type { Random } from '../random.ts';
import { type Attack, attacks } from './attacks.ts';

/** One screenshot of one agent. */
export interface Shot {
  screenshotId: string;
  /** What it is drawn from whenever it is needed: the bytes of thousands would fill the memory. */
  seed: string;
  width: number;
  height: number;
  format: 'png' | 'jpeg';
  /** Epoch ms. */
  capturedAt: number;
  /** As asked for; undefined leaves it to the organisation. */
  blurLevel: number | undefined;
  metadata: Record<string, unknown>;
  /** The fields of the form stand behind the file, which is as lawful. */
  fieldsLast: boolean;
  /** What is wrong with it, of hostile agents. */
  attack?: Attack;
}

/** When an agent sends what: `due` is a share of the run, 1 means when all else is over. */
export interface Planned {
  shot: Shot;
  due: number;
}

/** Parts of `POST /sync/screenshots`. */
export interface Form {
  file: Buffer;
  fileType: string;
  fields: Record<string, string>;
}

const displays = [
  { width: 1280, height: 800 },
  { width: 1366, height: 768 },
  { width: 1920, height: 1080 },
  { width: 1920, height: 1080 },
  { width: 1080, height: 1920 },
  { width: 2560, height: 1440 },
] as const;

const minuteMs = 60_000;
const lateMs = 2 * 24 * 60 * minuteMs;

export interface PlanOptions {
  count: number;
  now: number;
  deviceId: string;
  hostile: boolean;
  random: Random;
  /** Apart from `random`, so that ids differ between runs whose agents do the same. */
  ids: Random;
}

/**
 * What one agent sends: most as they are taken, some days later when a network is there again, some twice because the
 * mark of what was sent was lost; of hostile agents broken ones only.
 */
export function planShots(options: PlanOptions): Planned[] {
  const { count, now, random, ids } = options;
  const plan: Planned[] = [];
  // In turn from anywhere, so that a few agents have all levels and all attacks.
  const firstLevel = random.int(0, 4);
  const firstAttack = random.int(0, attacks.length - 1);
  for (let i = 0; i < count; i++) {
    const late = !options.hostile && random.chance(0.2);
    const capturedAt = now - random.int(0, late ? lateMs : 30 * minuteMs);
    const display = random.pick(displays);
    const level = (firstLevel + i) % 5;
    const shot: Shot = {
      screenshotId: ids.uuidv7(capturedAt),
      seed: `${options.deviceId} ${i}`,
      ...display,
      format: random.chance(0.5) ? 'png' : 'jpeg',
      capturedAt,
      blurLevel: level === 4 ? undefined : level,
      metadata: {
        os: random.pick(['macOS 15.1', 'Windows 11', 'Ubuntu 24.04']),
        resolution: `${display.width}x${display.height}`,
        displays: random.int(1, 3),
      },
      fieldsLast: random.chance(0.2),
    };
    if (options.hostile) shot.attack = attacks[(firstAttack + i) % attacks.length]!;
    plan.push({ shot, due: late ? 1 : random.next() });
    if (!options.hostile && random.chance(0.25)) plan.push({ shot, due: random.chance(0.5) ? 1 : random.next() });
  }
  return plan.sort((a, b) => a.due - b.due);
}

/** The lawful picture of a shot; the same bytes each time. */
export const drawShot = ({ seed, width, height, format }: Shot): Promise<Buffer> =>
  drawScreenshot(seed, { width, height, format });

/** The request of a shot: its body and the content type that belongs to it. */
export async function requestOf(shot: Shot): Promise<{ body: Buffer; contentType: string }> {
  const { screenshotId, capturedAt, blurLevel, metadata } = shot;
  const lawful: Form = {
    file: await drawShot(shot),
    fileType: `image/${shot.format}`,
    fields: {
      screenshotId,
      capturedAt: new Date(capturedAt).toISOString(),
      metadata: JSON.stringify(metadata),
      ...(blurLevel === undefined ? {} : { blurLevel: String(blurLevel) }),
    },
  };
  const { file, fileType, fields } = shot.attack?.spoil(lawful) ?? lawful;
  const form = new FormData();
  const addFile = (): void =>
    form.append('file', new Blob([new Uint8Array(file)], { type: fileType }), `screen.${shot.format}`);
  if (!shot.fieldsLast) for (const [name, value] of Object.entries(fields)) form.append(name, value);
  addFile();
  if (shot.fieldsLast) for (const [name, value] of Object.entries(fields)) form.append(name, value);
  // It knows how a form is written.
  const written = new Response(form);
  return {
    body: Buffer.from(await written.arrayBuffer()),
    contentType: written.headers.get('content-type') ?? '',
  };
}
