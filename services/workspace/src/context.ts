import type { Identity } from '@worktide/identity';
import type { TenantCache } from '@worktide/key-value';
import type { RequestLimit } from '@worktide/runtime';
import type { ProjectPage } from '@worktide/schemas';
import type { Store } from './store/store.ts';

/** What the routes of this service work with; made by `run`. */
export interface WorkspaceContext {
  store: Store;
  /** Of `GET /projects/active`. */
  activeProjects: TenantCache<ProjectPage>;
  /** For each user, on what agents call: an office of them shares one address. */
  agentLimit: RequestLimit;
  findUser: Identity['findUser'];
  /** For its settings. */
  organization: Identity['organization'];
}
