import { type Outbox, type Pool, type Queryable, type Reads, transactionWithEvents } from '@worktide/postgres';
import { type Codec, type ExportState, type ExportsRecord, topics } from '@worktide/schemas';
import { type Claim, type Failure, settleFailed, settleReady } from './claims.ts';

export interface SettleDeps {
  pool: Pool;
  outbox: Pick<Outbox, 'write' | 'committed'>;
  /** Of topic `exports`. */
  codec: Codec;
  /** Told of whose it was: who hears that it is ready looks at the list at once. */
  wrote: Reads['wrote'];
}

/** Settlements of exports; what becomes of one is told on topic `exports`, in the transaction that notes it. */
export interface Settle {
  /** Its file is stored. @returns false where it was not the claim's any more: then another's file is, or none. Rejects 503. */
  ready(claim: Claim, file: { rows: number; bytes: number; fileKey: string }): Promise<boolean>;
  /** It cannot be done. @returns false where it was not the claim's any more. Rejects 503. */
  failed(claim: Claim, failure: Failure): Promise<boolean>;
}

export function createSettle({ pool, outbox, codec, wrote }: SettleDeps): Settle {
  async function settle(
    claim: Claim,
    become: Pick<ExportState, 'status' | 'failureCode' | 'rows' | 'bytes'>,
    note: (client: Queryable) => Promise<Date | undefined>,
  ): Promise<boolean> {
    const { organizationId, userId, id, report, format, fileName } = claim;
    await codec.prepare();
    const { result } = await transactionWithEvents({ pool, outbox }, async (client, tell) => {
      const at = await note(client);
      if (!at) return false;
      const record: ExportsRecord = {
        organizationId,
        userId,
        exports: [{ id, report, format, fileName, ...become, settledAt: at.getTime() }],
      };
      tell({ topic: topics.exports.name, key: userId, value: codec.encode(record) });
      return true;
    });
    await wrote({ organizationId, userId });
    return result;
  }

  return {
    ready: (claim, file) =>
      settle(claim, { status: 'ready', failureCode: null, rows: file.rows, bytes: file.bytes }, (client) =>
        settleReady(client, claim, file),
      ),
    failed: (claim, failure) =>
      settle(claim, { status: 'failed', failureCode: failure.code, rows: 0, bytes: 0 }, (client) =>
        settleFailed(client, claim, failure),
      ),
  };
}
