export { type Cluster, type ClusterOptions, type EngineName, startCluster } from './start.ts';
