export * from './audit.ts';
export * from './fields.ts';
export * from './looks.ts';
