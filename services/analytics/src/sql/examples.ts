/** Queries of the documentation, of `GET /analytics/schema`, and of a test that runs each of them. */
export const examples: readonly { title: string; sql: string }[] = [
  {
    title: 'Hours of each person in a month',
    sql: `SELECT user_name, round(sum(work_seconds) / 3600, 2) AS hours, round(sum(active_seconds) / 3600, 2) AS active_hours
FROM days
WHERE date BETWEEN '2026-11-01' AND '2026-11-30'
GROUP BY user_id, user_name
ORDER BY user_name, user_id`,
  },
  {
    title: 'The organisation by week, weeks from Monday',
    sql: `SELECT toMonday(date) AS week, uniqExact(user_id) AS people, sum(work_seconds) AS work_seconds, sum(idle_seconds) AS idle_seconds
FROM days
GROUP BY week
ORDER BY week`,
  },
  {
    title: 'Ten apps with the most active time',
    sql: `SELECT app, sum(active_seconds) AS seconds
FROM app_days
WHERE date >= today() - 30
GROUP BY app
ORDER BY seconds DESC, app
LIMIT 10`,
  },
  {
    title: 'Time tracked for each project, by who tracked it',
    sql: `SELECT project_name, user_name, sum(worked_seconds) AS seconds, sumIf(worked_seconds, billable) AS billable_seconds
FROM time_entries
WHERE status = 'STOPPED'
GROUP BY project_id, project_name, user_id, user_name
ORDER BY project_name, seconds DESC, user_name`,
  },
  {
    title: 'Work of a team by day; the team is a parameter, `{team:String}`',
    sql: `SELECT date, sum(work_seconds) AS work_seconds
FROM days
WHERE user_id IN (SELECT user_id FROM team_members WHERE team_name = {team:String})
GROUP BY date
ORDER BY date`,
  },
  {
    title: 'Hosts of the last week by person',
    sql: `SELECT user_name, host, sum(active_seconds) AS seconds
FROM host_days
WHERE date >= today() - 7
GROUP BY user_id, user_name, host
ORDER BY user_name, seconds DESC, host
LIMIT 20 BY user_id`,
  },
  {
    title: 'Alerts that are open, oldest first',
    sql: `SELECT created_at, user_name, type, message
FROM alerts
WHERE resolved_at IS NULL
ORDER BY created_at`,
  },
  {
    title: 'What one hour was made of, entry by entry',
    sql: `SELECT user_name, device_id, app, host, state, started_at, ended_at
FROM usage
WHERE started_at < '2026-11-20 10:00:00' AND ended_at > '2026-11-20 09:00:00'
ORDER BY user_name, started_at`,
  },
];

/** Values for the parameters that examples have. */
export const exampleParameters: Readonly<Record<string, string>> = { team: 'Support' };
