/** The engines that tests can ask for. */
export const backendNames = ['kafka', 'postgres', 'clickhouse', 'redis', 'registry', 's3'] as const;
export type BackendName = (typeof backendNames)[number];

/** The variable that names an engine which already runs, e.g. `TEST_KAFKA_URL`. */
export const variableOf = (name: BackendName): string => `TEST_${name.toUpperCase()}_URL`;

/** Where a test worker finds the supervisor. */
export const socketVariable = 'WORKTIDE_BACKENDS_SOCKET';
