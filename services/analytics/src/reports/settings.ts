/** Seconds a report's query may run: with the waits for its turn it ends before its request does. */
export const maxQuerySeconds = 15;

/**
 * Settings of every report. `do_not_merge_across_partitions`: an entry's partition never changes, so FINAL may treat
 * each by itself. The caps: a query that needs more fails with 503 instead of taking the server's memory; above half
 * of it grouping goes to disk; two threads each, since the server has inserts to take besides.
 * A query ends with its connection, which the server only does for statements that are known to change nothing.
 */
export const reportSettings = {
  do_not_merge_across_partitions_select_final: 1,
  max_execution_time: maxQuerySeconds,
  max_memory_usage: String(1024 ** 3),
  max_bytes_before_external_group_by: String(512 * 1024 ** 2),
  max_threads: 2,
  // Exports have a lower one, and wait.
  priority: '1',
  readonly: '2',
  cancel_http_readonly_queries_on_client_close: 1,
  output_format_json_quote_64bit_integers: 0,
} as const;
