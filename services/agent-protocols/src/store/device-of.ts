import type { Caller } from '@worktide/runtime';

/** The device that a credential is for: the key's, or the session itself. */
export const deviceOf = ({ deviceId, sessionId, userId }: Caller): string => deviceId ?? sessionId ?? userId;
