import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import { bearer } from '../testing.ts';
import { fileHead, fileOf, form, type Gateway, heads, picture, startGateway } from './testing.ts';

let gateway: Gateway;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await gateway.close();
});

const as = (organization: number, user = 0) => ({ authorization: bearer(organization, user) });
const held = async (bytes: number): Promise<boolean> =>
  (await gateway.metric('worktide_budget_held', { budget: 'uploads' })) === bytes;
const inFlight = async (uploads: number): Promise<boolean> =>
  (await gateway.metric('worktide_uploads_in_flight')) === uploads;
const large = 24 * 1024 * 1024;
/** The beginning of an upload whose picture has begun. */
const begun = Buffer.concat([Buffer.from(fileHead()), heads['image/png']]);
const small = form(fileOf(picture(1_000)));

describe('uploads', () => {
  test('that are slow fill the share of their organisation and no more, however many accounts it has', async () => {
    gateway = await startGateway();
    const slow: Awaited<ReturnType<Gateway['begin']>>[] = [];
    for (let user = 0; user < 12; user++) slow.push(await gateway.begin(begun, 50_000_000, bearer(1, user)));
    await until(
      'four are refused',
      () => slow.filter(({ received }) => received.includes('"code":"BUSY"')).length === 4,
    );
    expect(await held(8 * large)).toBe(true);
    expect(await gateway.post(small, as(1, 20))).toMatchObject({ status: 503, body: { code: 'BUSY' } });
    expect((await gateway.post(form(fileOf(picture(40_000_000))), as(2))).status).toBe(202);
    // Three greedy ones leave room for the next, too.
    for (const organization of [2, 3, 4]) {
      for (let user = 0; user < 8; user++)
        slow.push(await gateway.begin(begun, 50_000_000, bearer(organization, user)));
    }
    expect((await gateway.post(form(fileOf(picture(5_000_000))), as(5))).status).toBe(202);
    for (const socket of slow) socket.destroy();
    await until('nothing is held', () => held(0));
    await until('nothing is in flight', () => inFlight(0));
  });

  test('that have not begun to come hold nothing', async () => {
    gateway = await startGateway();
    const silent = [];
    for (let user = 0; user < 20; user++) silent.push(await gateway.begin('', 50_000_000, bearer(1, user)));
    await until('20 are in flight', () => inFlight(20));
    expect(await held(0)).toBe(true);
    expect((await gateway.post(small, as(1, 30))).status).toBe(202);
    for (const socket of silent) socket.destroy();
    await until('nothing is in flight', () => inFlight(0));
  });

  test('hold what they announce; those that announce nothing, as the largest', async () => {
    gateway = await startGateway();
    const three = await gateway.begin(begun, 3_000_000, bearer(1));
    await until('what the small ones take', () => held(3_000_000));
    const chunked = await gateway.begin(`5\r\n\r\n--b`, undefined, bearer(1, 1));
    await until('the large one, too', () => held(3_000_000 + large));
    three.destroy();
    chunked.destroy();
    await until('nothing is held', () => held(0));
  });
});

describe('signed URLs of a folder', () => {
  async function presign(organization: number, size: number): Promise<{ uploadUrl: string; screenshotId: string }> {
    const answer = await gateway.json('presign', { contentType: 'image/png', size }, as(organization));
    expect(answer.status).toBe(201);
    return answer.body;
  }
  async function open(head: string): Promise<Socket & { received: string }> {
    const socket = Object.assign(connect(gateway.port, '127.0.0.1'), { received: '' });
    sockets.push(socket);
    socket.on('error', () => {});
    socket.setEncoding('utf8').on('data', (text) => {
      socket.received += text;
    });
    socket.write(`${head}\r\nhost: x\r\n`);
    return socket;
  }
  const beginPut = async (url: string, size: number) => {
    const socket = await open(`PUT ${url} HTTP/1.1`);
    socket.write(`content-type: image/png\r\ncontent-length: ${size}\r\n\r\n`);
    socket.write(heads['image/png']);
    return socket;
  };
  const put = (url: string, bytes: Buffer) =>
    fetch(gateway.url + url, { method: 'PUT', headers: { 'content-type': 'image/png' }, body: bytes as never });

  test('take a share of whose object it is, and a place of its user, and give both back', async () => {
    gateway = await startGateway();
    const size = 30_000_000;
    const { uploadUrl } = await presign(1, size);
    const slow: Awaited<ReturnType<typeof open>>[] = [];
    for (let i = 0; i < 6; i++) slow.push(await beginPut(uploadUrl, size));
    await until(
      'two are refused',
      () => slow.filter(({ received }) => received.includes('"code":"BUSY"')).length === 2,
    );
    await until('four large ones', () => held(4 * large));
    const mine = await presign(2, 1_000);
    expect((await put(mine.uploadUrl, picture(1_000))).status).toBe(200);
    expect((await gateway.json('confirm', { screenshotId: mine.screenshotId }, as(2))).status).toBe(202);
    for (const socket of slow) socket.destroy();
    await until('nothing is held', () => held(0));
    await until('nothing is in flight', () => inFlight(0));
  });

  test('count for nobody where they are not ours', async () => {
    gateway = await startGateway();
    const { uploadUrl } = await presign(1, 1_000);
    const forged = uploadUrl.replace(/signature=.{5}/, 'signature=AAAAA');
    expect((await put(forged, picture(1_000))).status).toBe(403);
    expect((await put(uploadUrl, picture(999))).status).toBe(400);
    expect(await held(0)).toBe(true);
  });

  test('out as well: a reader who does not read holds its organisation’s share until it goes', async () => {
    gateway = await startGateway();
    const key = 'screenshots/019cd7a0-0000-7000-8000-000000000001/2026-11-21/x';
    await gateway.store.put(key, picture(20_000_000), { contentType: 'image/png' });
    const link = await gateway.store.signedGet(key, { expiresSeconds: 60 });
    const socket = await open(`GET ${link} HTTP/1.1`);
    socket.write('\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    socket.pause();
    expect(await held(256 * 1024)).toBe(true);
    socket.destroy();
    await until('nothing is held', () => held(0));
    const whole = await fetch(gateway.url + link);
    expect((await whole.arrayBuffer()).byteLength).toBe(20_000_000);
    await until('nothing is held', () => held(0));
  });
});
