export { viewsOf } from '../views.ts';
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
} from './gate.ts';
export { defaultLimits, type QueryLimits } from './limits.ts';
export { checkText } from './text.ts';
