import { type Caller, type Metrics, unauthorized } from '@worktide/runtime';
import { type KnownOrganization, noPrivacyRules, type PrivacyRules } from '@worktide/schemas';
import { type CompiledPrivacy, compilePrivacy, type PrivacyKind } from './apply.ts';

/** The rules that hold, for whatever takes what is observed of people. */
export interface PrivacyGuard {
  /**
   * Those of the caller's organisation, as told last: by the feed of settings within seconds. While auth is away what was
   * known goes on. Rejects 503 where nothing was ever known: nothing is taken then.
   */
  of(caller: Pick<Caller, 'organizationId'>): Promise<CompiledPrivacy>;
  /** Counts something that was taken away, once for each reason. */
  taken(kinds: readonly PrivacyKind[]): void;
}

/** @param organization of `libs/identity`. */
export function createPrivacyGuard(options: {
  organization: (organizationId: string) => Promise<KnownOrganization | undefined>;
  metrics: Metrics;
}): PrivacyGuard {
  const compiled = new WeakMap<PrivacyRules, CompiledPrivacy>();
  const counted = options.metrics.counter(
    'worktide_privacy_taken_total',
    'What was answered as taken and kept less of, or nothing, by the kind of rule.',
    ['kind'],
  );
  return {
    async of({ organizationId }) {
      const known = await options.organization(organizationId);
      // Deleted since the credential was checked.
      if (!known) throw unauthorized();
      const { privacy = noPrivacyRules } = known;
      let ready = compiled.get(privacy);
      if (!ready) {
        ready = compilePrivacy(privacy);
        compiled.set(privacy, ready);
      }
      return ready;
    },
    taken(kinds) {
      for (const kind of kinds) counted.inc({ kind });
    },
  };
}
