export * from './cut.ts';
export * from './fold.ts';
export * from './key.ts';
export * from './mask.ts';
export * from './months.ts';
export type { Span } from './paint.ts';
export * from './sources.ts';
export * from './windows.ts';
