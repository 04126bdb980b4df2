export * from './config.ts';
export * from './errors.ts';
export * from './http/index.ts';
export * from './ids.ts';
export * from './lifecycle.ts';
export * from './log.ts';
export * from './metrics.ts';
export * from './sleep.ts';
