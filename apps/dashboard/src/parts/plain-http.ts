// Within a network of one's own Worktide may be at a plain http address. Browsers keep some of their interfaces from such pages.

/** A random UUID. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Puts the text of an element into the clipboard. @returns whether that was done; it is selected in any case. */
export async function copyText(element: HTMLElement): Promise<boolean> {
  getSelection()?.selectAllChildren(element);
  // Undefined without TLS, whatever its type says.
  const clipboard = navigator.clipboard as Clipboard | undefined;
  if (!clipboard) return document.execCommand('copy');
  return clipboard.writeText(element.textContent ?? '').then(
    () => true,
    () => false,
  );
}

/** One tab of this browser after the other; without TLS each by itself, which a spent token is good for ten seconds for. */
export function inTurnOfTabs<T>(name: string, act: () => Promise<T>): Promise<T> {
  const locks = navigator.locks as LockManager | undefined;
  return locks ? locks.request(name, act) : act();
}
