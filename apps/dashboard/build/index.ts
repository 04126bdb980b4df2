export { buildDashboard, builtFolder } from './build.ts';
export { typesOf } from './types.ts';
