export { type Deletions, deletionsInPostgres } from './deletions.ts';
export { type FollowDeletionsOptions, followDeletions } from './follow.ts';
