export * from './auth.ts';
export * from './call.ts';
export * from './metrics.ts';
export * from './until.ts';
