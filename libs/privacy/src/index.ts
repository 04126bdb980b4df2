export * from './apply.ts';
export * from './guard.ts';
