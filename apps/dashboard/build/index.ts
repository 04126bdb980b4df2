export { buildDashboard, builtFolder } from './build.ts';
