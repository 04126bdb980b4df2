export { ensureDatabase } from './database.ts';
export * from './errors.ts';
export * from './migrate.ts';
export * from './outbox.ts';
export * from './pool.ts';
export * from './service-database.ts';
export * from './tenant-policies.ts';
export * from './transaction.ts';
export * from './transaction-with-events.ts';
