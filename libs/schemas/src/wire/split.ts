const headerBytes = 5;

/**
 * Divides records whose list `list` has two items or more, as a consumer's `split`: two records, each of which says of
 * half of the items what the whole says of all. Any other record is not divided.
 */
export const splitBy =
  (list: string) =>
  <R extends { value: Buffer }>(record: R): R[] => {
    const { value } = record;
    let envelope: Record<string, unknown> | null;
    try {
      envelope = JSON.parse(value.toString('utf8', headerBytes));
    } catch {
      return [];
    }
    const items = envelope?.[list];
    if (!Array.isArray(items) || items.length < 2) return [];
    const middle = items.length >> 1;
    return [items.slice(0, middle), items.slice(middle)].map((half) => {
      const json = Buffer.from(JSON.stringify({ ...envelope, [list]: half }));
      return { ...record, value: Buffer.concat([value.subarray(0, headerBytes), json]) };
    });
  };
