import { addressGroup, type Caller, type RouteContext } from '@worktide/runtime';

/** Whose turn a request takes where something is scarce: hashes, connections of the database. */
export interface Applicant {
  /**
   * The organisation of a caller who is known, else the address group. Never an account that is only asked for: which
   * one that is strangers choose.
   */
  subject: string;
  /** What is done for the request ends with it. */
  signal: AbortSignal;
}

export const applicantOf = ({ req, signal }: Pick<RouteContext, 'req' | 'signal'>, caller?: Caller): Applicant => ({
  subject: caller?.organizationId ?? addressGroup(req.ip),
  signal,
});
