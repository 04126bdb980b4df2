import { unauthorized } from '@worktide/runtime';

/** Access tokens of ours have about 450 characters; what is longer is not hashed. */
const maxLength = 4_096;
const agentKeyForm = /^waka_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/**
 * The bearer credential of an `Authorization` header.
 * @throws 401 for none, another scheme, or one that is too long.
 */
export function bearerOf(authorization: string | undefined): string {
  if (authorization === undefined || authorization.length > maxLength) throw unauthorized();
  // The scheme is case-insensitive (RFC 9110 §11.1); the usual spelling is told without a new string.
  if (!authorization.startsWith('Bearer ') && !/^bearer /i.test(authorization)) throw unauthorized();
  const credential = authorization.slice(7).trim();
  if (credential === '') throw unauthorized();
  return credential;
}

/** Whether a credential has the form of an agent key; anything else is taken for an access token. */
export const isAgentKey = (credential: string): boolean => agentKeyForm.test(credential);
