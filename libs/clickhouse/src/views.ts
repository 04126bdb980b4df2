/**
 * The database of the views of a database of tables. `npm start` has its tables in `default`, a cluster in `worktide`: analysts
 * find the same name on both.
 */
export const viewsOf = (database: string): string => (database === 'default' ? 'worktide_v1' : `${database}_v1`);
