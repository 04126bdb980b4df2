-- As reports round it: 472.5 of a thousand are 47.3.
CREATE OR REPLACE VIEW ${views}.days
(
    user_id UUID COMMENT 'The person',
    user_name String COMMENT 'As it is now',
    date Date32 COMMENT 'A day of the zone of the person',
    timezone LowCardinality(String) COMMENT 'That zone',
    work_seconds UInt32 COMMENT 'Whole seconds, half up: the union of all entries of all devices',
    active_seconds UInt32 COMMENT 'Whole seconds, half up: the union of the active ones',
    idle_seconds UInt32 COMMENT 'work_seconds - active_seconds',
    productivity_score Nullable(Float64) COMMENT 'active / work * 100, one decimal, half up; NULL without work',
    keyboard_clicks UInt64 COMMENT 'Of minutes that begin on the day',
    mouse_movements UInt64 COMMENT 'Of minutes that begin on the day'
)
AS SELECT d.user_id AS user_id, p.name AS user_name, d.date AS date, d.timezone AS timezone,
    d.work_seconds AS work_seconds, d.active_seconds AS active_seconds,
    d.work_seconds - d.active_seconds AS idle_seconds,
    if(d.work_seconds = 0, NULL, intDiv(2000 * toUInt64(d.active_seconds) + d.work_seconds, greatest(2 * d.work_seconds, 1)) / 10) AS productivity_score,
    d.keyboard_clicks AS keyboard_clicks, d.mouse_movements AS mouse_movements
FROM (
    SELECT * FROM ${database}.days FINAL WHERE work_seconds > 0 OR keyboard_clicks > 0 OR mouse_movements > 0
) AS d
INNER JOIN (SELECT id, name, timezone AS zone FROM ${database}.people FINAL) AS p ON p.id = d.user_id AND p.zone = d.timezone
COMMENT 'One row for each person and day with anything: the time of the reports, which sums of these rows are. Key: user_id, date. Unit: seconds. Late data: what comes late or is erased restates its days within a minute; where the zone of a person changes, all their days are those of the new one once they are summed up anew.';
