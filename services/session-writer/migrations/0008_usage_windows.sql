-- When one user was there in some windows of time, which are disjoint: the union of all usage and of what is active, over
-- devices, as [start, end) pairs in order. A few windows for many pieces of time: each costs a look-up in every stream, and a
-- person may have thousands of those. As a tenant each row of usage would be looked up in its stream once more, twice the work;
-- so this runs as the owner, and takes the organisation from where the policy takes it.
-- Of each stream and month those that begin within a window are read, and the last one before, which alone may reach into it.
CREATE FUNCTION usage_of(whose uuid, months date[], starts bigint[], ends bigint[])
RETURNS TABLE (active json, covered json)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = tracking, pg_temp
-- Kept planned: planning it for two years of months takes five times as long as looking up what a timer needs.
SET plan_cache_mode = force_generic_plan
-- As store/plans.ts has it: look-ups by index, whatever the planner thinks of a young table.
SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
  WITH windows AS (
    SELECT * FROM unnest(months, starts, ends) AS p(month, start_at, end_at)
  ), watchers AS MATERIALIZED (
    SELECT s.id, m.month FROM streams s CROSS JOIN (SELECT DISTINCT month FROM windows) m
    -- Of thousands of devices few were there in a month. LIMIT: of EXISTS the planner makes a reading of the whole table.
    CROSS JOIN LATERAL (
      SELECT FROM usage_entries WHERE month = m.month AND stream_id = s.id ORDER BY started_at LIMIT 1
    ) any_of_month
    WHERE s.organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid)
      AND s.user_id = whose
  ), used AS (
    SELECT u.state = 'active' AS is_active,
      int8range(greatest(u.started_at, p.start_at), least(u.ended_at, p.end_at)) AS during
    FROM windows p JOIN watchers w USING (month) CROSS JOIN LATERAL (
      (SELECT started_at, ended_at, state FROM usage_entries
       WHERE month = p.month AND stream_id = w.id AND started_at < p.start_at ORDER BY started_at DESC LIMIT 1)
      UNION ALL
      SELECT started_at, ended_at, state FROM usage_entries
      WHERE month = p.month AND stream_id = w.id AND started_at >= p.start_at AND started_at < p.end_at
    ) u
    WHERE u.ended_at > p.start_at
  ), unions AS (
    SELECT range_agg(during) FILTER (WHERE is_active) AS active, range_agg(during) AS covered FROM used
  )
  SELECT
    (SELECT json_agg(json_build_array(lower(r), upper(r)) ORDER BY r) FROM unions, unnest(unions.active) r),
    (SELECT json_agg(json_build_array(lower(r), upper(r)) ORDER BY r) FROM unions, unnest(unions.covered) r)
$$;
REVOKE ALL ON FUNCTION usage_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION usage_of TO worktide_session_writer_tenant;
DROP FUNCTION usage_within;
