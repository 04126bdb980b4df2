export * from './audit.ts';
export * from './fields.ts';
