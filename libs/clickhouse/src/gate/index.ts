export {
  type Account,
  type AccountTables,
  accountStatements,
  accountUser,
  endAccountStatements,
  tablesIn,
} from './accounts.ts';
export { queryFailure } from './failures.ts';
export { functions } from './functions.ts';
export {
  type Catalog,
  type CatalogRow,
  catalogOf,
  catalogSql,
  failureOf,
  type Passed,
  passGate,
  tablesOf,
  viewsOf,
} from './gate.ts';
export { defaultLimits, type QueryLimits } from './limits.ts';
export { checkText } from './text.ts';
