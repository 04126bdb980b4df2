export { type Cluster, type ClusterOptions, type ClusterService, type EngineName, startCluster } from './start.ts';
