/** What one query of an analyst may take. */
export interface QueryLimits {
  seconds: number;
  memoryBytes: number;
  threads: number;
  rowsRead: number;
  bytesRead: number;
  resultRows: number;
  resultBytes: number;
}

export const defaultLimits: QueryLimits = {
  seconds: 15,
  memoryBytes: 512 * 1024 ** 2,
  threads: 2,
  rowsRead: 200_000_000,
  bytesRead: 16 * 1024 ** 3,
  resultRows: 10_000,
  resultBytes: 32 * 1024 ** 2,
};

/**
 * Settings of a query. Those of the plan keep the filter by organisation before all that the query itself asks: nothing of
 * another's row is ever looked at, so that no error and no division by zero says anything of it.
 */
export const querySettings = (limits: QueryLimits) =>
  ({
    readonly: '1',
    query_plan_merge_filters: 0,
    query_plan_optimize_prewhere: 0,
    optimize_move_to_prewhere: 0,
    optimize_read_in_order: 0,
    query_plan_use_new_logical_join_step: 1,
    do_not_merge_across_partitions_select_final: 1,
    max_execution_time: limits.seconds,
    timeout_overflow_mode: 'throw',
    max_memory_usage: String(limits.memoryBytes),
    max_bytes_before_external_group_by: String(Math.floor(limits.memoryBytes / 2)),
    max_bytes_before_external_sort: String(Math.floor(limits.memoryBytes / 2)),
    max_threads: limits.threads,
    max_rows_to_read: String(limits.rowsRead),
    max_bytes_to_read: String(limits.bytesRead),
    // Of queries that read no table the engine bounds the answer by nothing else.
    limit: String(limits.resultRows + 1),
    function_range_max_elements_in_block: '1000000',
    max_result_rows: String(limits.resultRows),
    max_result_bytes: String(limits.resultBytes),
    max_ast_depth: '500',
    max_ast_elements: '5000',
    max_expanded_ast_elements: '50000',
    max_subquery_depth: '20',
    max_recursive_cte_evaluation_depth: '100',
    max_query_size: String(128 * 1024),
    priority: '10',
    use_query_cache: 0,
    allow_ddl: 0,
    allow_introspection_functions: 0,
    cancel_http_readonly_queries_on_client_close: 1,
  }) as const;
