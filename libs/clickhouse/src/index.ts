export {
  type ClickHouse,
  type ClickHouseOptions,
  createClickHouse,
  type InsertOptions,
  type QueryOptions,
} from './client.ts';
export { isTooExpensive, mapClickHouseError, resultIsTooLarge } from './errors.ts';
export { migrateClickHouse } from './migrate.ts';
