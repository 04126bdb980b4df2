export { type DeploymentTable, deployFolder, isBelow, readTable, serviceOf } from './table.ts';
