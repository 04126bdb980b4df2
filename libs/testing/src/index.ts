export * from './auth.ts';
export * from './call.ts';
export * from './in-lanes.ts';
export * from './metrics.ts';
export * from './until.ts';
