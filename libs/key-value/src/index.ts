export { connectStreams, type StreamConnections } from './for-streams.ts';
export { addressWindow } from './limits/address-window.ts';
export { openLimits } from './limits/open.ts';
export type { BucketLimit, Limits, LimitsOptions, Rate, WindowLimit } from './limits/types.ts';
export { openKeyValue } from './open.ts';
export { openStates } from './states/open.ts';
export type { State, StateChange, States } from './states/types.ts';
export { createTenantCache, type TenantCache } from './tenant-cache.ts';
export { type KeyValue, type KeyValueOptions, maxKeyLength, maxValueBytes } from './types.ts';
