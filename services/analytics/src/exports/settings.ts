import { reportSettings } from '../reports/settings.ts';

/** Seconds one question of an export may take; there are many in a large one, each for a part. */
export const maxPartSeconds = 60;

/**
 * Settings of every question: as reports', with one thread and half the memory, so that nobody who waits for a report, and
 * nothing that is to be stored, feels that an export is on its way.
 */
export const exportSettings = {
  ...reportSettings,
  max_execution_time: maxPartSeconds,
  max_memory_usage: String(512 * 1024 ** 2),
  max_bytes_before_external_group_by: String(256 * 1024 ** 2),
  max_bytes_before_external_sort: String(256 * 1024 ** 2),
  max_threads: 1,
  // Behind reports, which have the first, wherever both are asked.
  priority: '10',
  // A part is in memory here as a whole, and about twice as large as text.
  max_result_bytes: String(24 * 1024 ** 2),
  result_overflow_mode: 'throw',
} as const;
