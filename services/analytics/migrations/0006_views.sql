-- What analysts see: one view a fact, each with FINAL, what is gone and the names of things done. Their columns are kept
-- as an interface is: others may be added, none changes or goes. What the comments say becomes docs/analysts.md
-- (`npm run analysts`). Of which organisation the rows are is no column: whoever reads them reads their own alone, by
-- filters on every table below (docs/decisions/0015). Joins name no organisation for the same reason.
-- Not here: `pings`, whose titles and addresses nothing else shows either, and `audit`, which is for admins (GET /audit).
CREATE DATABASE IF NOT EXISTS ${views};

CREATE OR REPLACE VIEW ${views}.people
(
    id UUID COMMENT 'Of the person; user_id elsewhere',
    name String COMMENT 'As it is now',
    role LowCardinality(String) COMMENT 'admin, manager or employee',
    status LowCardinality(String) COMMENT 'active, inactive or suspended',
    timezone LowCardinality(String) COMMENT 'IANA zone in which their days are counted',
    is_deleted Bool COMMENT 'Whether they have left; their time stays'
)
AS SELECT id, name, role, status, timezone, deleted AS is_deleted FROM ${database}.people FINAL
COMMENT 'One row for each person, also of those who have left. Key: id. Late data: a change shows within seconds, and for all time at once.';

CREATE OR REPLACE VIEW ${views}.projects
(
    id UUID COMMENT 'Of the project',
    name String COMMENT 'As it is now',
    status LowCardinality(String) COMMENT 'As in the workspace, e.g. active, archived',
    is_deleted Bool COMMENT 'Whether it is gone; its time stays'
)
AS SELECT id, name, status, deleted AS is_deleted FROM ${database}.projects FINAL
COMMENT 'One row for each project, also of those that are gone. Key: id. Late data: a change shows within seconds, and for all time at once.';

CREATE OR REPLACE VIEW ${views}.tasks
(
    id UUID COMMENT 'Of the task',
    project_id UUID COMMENT 'Its project',
    project_name String COMMENT 'As it is now; empty where it is not known',
    title String COMMENT 'As it is now',
    status LowCardinality(String) COMMENT 'todo, in_progress or done',
    priority LowCardinality(String) COMMENT 'low, medium or high',
    assignee_id Nullable(UUID) COMMENT 'The person who is to do it',
    assignee_name String COMMENT 'Empty where nobody is',
    creator_id UUID COMMENT 'The person who made it',
    due_date String COMMENT 'A day or an instant; empty where there is none',
    completed_at Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL until it is done',
    is_deleted Bool COMMENT 'Whether it is gone; its time stays'
)
AS SELECT t.id AS id, t.project_id AS project_id, p.name AS project_name, t.title AS title, t.status AS status,
    t.priority AS priority, t.assignee_id AS assignee_id, a.name AS assignee_name, t.creator_id AS creator_id,
    t.due_date AS due_date, t.completed_at AS completed_at, t.deleted AS is_deleted
FROM (SELECT * FROM ${database}.tasks FINAL) AS t
LEFT ANY JOIN (SELECT id, name FROM ${database}.projects FINAL) AS p ON p.id = t.project_id
LEFT ANY JOIN (SELECT toNullable(id) AS person_id, name FROM ${database}.people FINAL) AS a ON a.person_id = t.assignee_id
COMMENT 'One row for each task, also of those that are gone. Key: id. Late data: a change shows within seconds.';

CREATE OR REPLACE VIEW ${views}.teams
(
    id UUID COMMENT 'Of the team',
    name String COMMENT 'As it is now',
    project_id Nullable(UUID) COMMENT 'NULL: of no project, a department',
    members UInt64 COMMENT 'People in it, leads among them',
    is_deleted Bool COMMENT 'Whether it is gone'
)
AS SELECT id, name, project_id, length(member_ids) AS members, deleted AS is_deleted FROM ${database}.teams FINAL
COMMENT 'One row for each team, also of those that are gone. Key: id. Late data: a change shows within seconds.';

CREATE OR REPLACE VIEW ${views}.team_members
(
    team_id UUID COMMENT 'The team',
    team_name String COMMENT 'As it is now',
    user_id UUID COMMENT 'The person',
    user_name String COMMENT 'As it is now; empty where it is not known',
    role LowCardinality(String) COMMENT 'lead or member'
)
AS SELECT t.team_id AS team_id, t.team_name AS team_name, t.member AS user_id, p.name AS user_name,
    t.member_role AS role
FROM (
    SELECT id AS team_id, name AS team_name, arrayJoin(arrayDistinct(member_ids)) AS member,
        if(has(lead_ids, member), 'lead', 'member') AS member_role
    FROM ${database}.teams FINAL WHERE deleted = 0
) AS t
LEFT ANY JOIN (SELECT id, name FROM ${database}.people FINAL) AS p ON p.id = t.member
COMMENT 'One row for each person of each team that is there, as it is now: not who was in it before. Key: team_id, user_id. Late data: a change shows within seconds.';

CREATE OR REPLACE VIEW ${views}.usage
(
    id UUID COMMENT 'Of the entry; derived from device, source and start',
    user_id UUID COMMENT 'The person',
    user_name String COMMENT 'As it is now; empty where it is not known',
    device_id LowCardinality(String) COMMENT 'The device, as its agent calls it',
    source LowCardinality(String) COMMENT 'The watcher on the device, e.g. window',
    app LowCardinality(String) COMMENT 'The app',
    host LowCardinality(String) COMMENT 'The host of the page; empty where there is none',
    state LowCardinality(String) COMMENT 'active or idle',
    started_at DateTime64(3, 'UTC') COMMENT 'Inclusive',
    ended_at DateTime64(3, 'UTC') COMMENT 'Exclusive',
    duration_ms Int64 COMMENT 'Milliseconds from start to end. Do not sum them over devices: two at once count twice; days has it done'
)
AS SELECT u.id AS id, u.user_id AS user_id, p.name AS user_name, u.device_id AS device_id, u.source AS source,
    u.app AS app, u.host AS host, u.state AS state, u.started_at AS started_at, u.ended_at AS ended_at,
    toUnixTimestamp64Milli(u.ended_at) - toUnixTimestamp64Milli(u.started_at) AS duration_ms
FROM (SELECT id, user_id, device_id, source, app, host, state, started_at, ended_at FROM ${database}.usage FINAL) AS u
LEFT ANY JOIN (SELECT id, name FROM ${database}.people FINAL) AS p ON p.id = u.user_id
COMMENT 'One row for each run of one app and host in one state on one source of a device; none crosses a UTC month. Key: id. Unit: milliseconds. Late data: new pings show within seconds, and change or replace entries of up to 90 days ago; what was erased is gone.';

CREATE OR REPLACE VIEW ${views}.time_entries
(
    id UUID COMMENT 'Of the entry',
    user_id UUID COMMENT 'The person',
    user_name String COMMENT 'As it is now; empty where it is not known',
    kind LowCardinality(String) COMMENT 'timer, manual, offline or imported',
    status LowCardinality(String) COMMENT 'RUNNING, PAUSED or STOPPED',
    project_id Nullable(UUID) COMMENT 'NULL where it has none',
    project_name String COMMENT 'As it is now; empty where there is none',
    task_id Nullable(UUID) COMMENT 'NULL where it has none',
    task_title String COMMENT 'As it is now; empty where there is none',
    description String COMMENT 'Empty where there is none',
    tags Array(String) COMMENT 'In the order given',
    billable Bool COMMENT 'Whether it is to be billed',
    timezone LowCardinality(String) COMMENT 'IANA zone in which it was made',
    started_at DateTime64(3, 'UTC') COMMENT 'Inclusive',
    ended_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Exclusive; NULL while it is open',
    worked_seconds Int64 COMMENT 'Whole seconds, half up, without pauses; of what runs, until now',
    created_at DateTime64(3, 'UTC') COMMENT 'When it was made',
    updated_at DateTime64(3, 'UTC') COMMENT 'When it was changed last'
)
AS SELECT e.id AS id, e.user_id AS user_id, u.name AS user_name, e.kind AS kind, e.status AS status,
    e.project_id AS project_id, p.name AS project_name, e.task_id AS task_id, t.title AS task_title,
    e.description AS description, e.tags AS tags, e.billable AS billable, e.timezone AS timezone,
    e.started_at AS started_at, e.ended_at AS ended_at, e.worked AS worked_seconds, e.created_at AS created_at,
    e.updated_at AS updated_at
FROM (
    SELECT id, user_id, kind, status, project_id, task_id, description, tags, billable, timezone, started_at, ended_at,
        created_at, updated_at,
        toUnixTimestamp64Milli(coalesce(ended_at, now64(3))) AS last_ms,
        arraySum((began, ended) -> ifNull(toUnixTimestamp64Milli(ended), last_ms) - toUnixTimestamp64Milli(began),
            pause_starts, pause_ends) AS paused_ms,
        intDiv(greatest(last_ms - toUnixTimestamp64Milli(started_at) - paused_ms, 0) + 500, 1000) AS worked
    FROM ${database}.time_entries FINAL
) AS e
LEFT ANY JOIN (SELECT id, name FROM ${database}.people FINAL) AS u ON u.id = e.user_id
LEFT ANY JOIN (SELECT toNullable(id) AS project, name FROM ${database}.projects FINAL) AS p ON p.project = e.project_id
LEFT ANY JOIN (SELECT toNullable(id) AS task, title FROM ${database}.tasks FINAL) AS t ON t.task = e.task_id
COMMENT 'One row for each timer and entry by hand. Key: id. Unit: seconds. Late data: an edit replaces the row within seconds, however old it is; what was deleted is gone.';

CREATE OR REPLACE VIEW ${views}.input_minutes
(
    user_id UUID COMMENT 'The person',
    user_name String COMMENT 'As it is now; empty where it is not known',
    device_id LowCardinality(String) COMMENT 'The device',
    minute DateTime64(3, 'UTC') COMMENT 'Its beginning',
    keyboard_clicks UInt64 COMMENT 'Keys pressed in it',
    mouse_movements UInt64 COMMENT 'Movements in it'
)
AS SELECT m.user_id AS user_id, p.name AS user_name, m.device_id AS device_id, m.minute AS minute,
    m.clicks AS keyboard_clicks, m.movements AS mouse_movements
FROM (
    SELECT user_id, device_id, minute, max(keyboard_clicks) AS clicks, max(mouse_movements) AS movements
    FROM ${database}.input_minutes GROUP BY user_id, device_id, minute
) AS m
LEFT ANY JOIN (SELECT id, name FROM ${database}.people FINAL) AS p ON p.id = m.user_id
COMMENT 'One row for each minute of a device with any input. Key: user_id, device_id, minute. Unit: counts. Late data: a minute that is sent again keeps the greater of each count.';

CREATE OR REPLACE VIEW ${views}.alerts
(
    id UUID COMMENT 'Of the alert',
    user_id UUID COMMENT 'The person it is about',
    user_name String COMMENT 'As it is now; empty where it is not known',
    type LowCardinality(String) COMMENT 'idle or overtime',
    date Date32 COMMENT 'A day of the zone of the person',
    time_entry_id Nullable(UUID) COMMENT 'The entry it is about',
    message String COMMENT 'For people',
    created_at DateTime64(3, 'UTC') COMMENT 'When it was raised',
    resolved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL while it is open',
    resolved_by Nullable(UUID) COMMENT 'The person; NULL where it is open, or has resolved by itself'
)
AS SELECT a.id AS id, a.user_id AS user_id, p.name AS user_name, a.type AS type, a.date AS date,
    a.time_entry_id AS time_entry_id, a.message AS message, a.created_at AS created_at, a.resolved_at AS resolved_at,
    a.resolved_by AS resolved_by
FROM (SELECT * FROM ${database}.alerts FINAL) AS a
LEFT ANY JOIN (SELECT id, name FROM ${database}.people FINAL) AS p ON p.id = a.user_id
COMMENT 'One row for each alert. Key: id. Late data: resolving one replaces its row within seconds; none is ever deleted.';

CREATE OR REPLACE VIEW ${views}.screenshots
(
    id UUID COMMENT 'Of the picture; the picture itself comes from GET /screenshots/:id',
    user_id UUID COMMENT 'The person',
    user_name String COMMENT 'As it is now; empty where it is not known',
    status LowCardinality(String) COMMENT 'pending, ready or failed',
    captured_at DateTime64(3, 'UTC') COMMENT 'When it was taken',
    time_entry_id Nullable(UUID) COMMENT 'The entry that ran',
    blur_level Nullable(UInt8) COMMENT '0 to 3',
    width Nullable(UInt32) COMMENT 'Pixels',
    height Nullable(UInt32) COMMENT 'Pixels',
    failure_code LowCardinality(String) COMMENT 'Empty where it did not fail'
)
AS SELECT s.id AS id, s.user_id AS user_id, p.name AS user_name, s.status AS status, s.captured_at AS captured_at,
    s.time_entry_id AS time_entry_id, s.blur_level AS blur_level, s.width AS width, s.height AS height,
    s.failure_code AS failure_code
FROM (SELECT * FROM ${database}.screenshots FINAL WHERE deleted = 0) AS s
LEFT ANY JOIN (SELECT id, name FROM ${database}.people FINAL) AS p ON p.id = s.user_id
COMMENT 'One row for each screenshot that is there. Key: id. Late data: one that was deleted is gone within seconds.';

CREATE OR REPLACE VIEW ${views}.days
(
    user_id UUID COMMENT 'The person',
    user_name String COMMENT 'As it is now',
    date Date32 COMMENT 'A day of the zone of the person',
    timezone LowCardinality(String) COMMENT 'That zone',
    work_seconds UInt32 COMMENT 'Whole seconds, half up: the union of all entries of all devices',
    active_seconds UInt32 COMMENT 'Whole seconds, half up: the union of the active ones',
    idle_seconds UInt32 COMMENT 'work_seconds - active_seconds',
    productivity_score Nullable(Float64) COMMENT 'active / work * 100, one decimal; NULL without work',
    keyboard_clicks UInt64 COMMENT 'Of minutes that begin on the day',
    mouse_movements UInt64 COMMENT 'Of minutes that begin on the day'
)
AS SELECT d.user_id AS user_id, p.name AS user_name, d.date AS date, d.timezone AS timezone,
    d.work_seconds AS work_seconds, d.active_seconds AS active_seconds,
    d.work_seconds - d.active_seconds AS idle_seconds,
    if(d.work_seconds = 0, NULL, round(d.active_seconds * 1000 / d.work_seconds) / 10) AS productivity_score,
    d.keyboard_clicks AS keyboard_clicks, d.mouse_movements AS mouse_movements
FROM (
    SELECT * FROM ${database}.days FINAL WHERE work_seconds > 0 OR keyboard_clicks > 0 OR mouse_movements > 0
) AS d
INNER JOIN (SELECT id, name, timezone AS zone FROM ${database}.people FINAL) AS p ON p.id = d.user_id AND p.zone = d.timezone
COMMENT 'One row for each person and day with anything: the time of the reports, which sums of these rows are. Key: user_id, date. Unit: seconds. Late data: what comes late or is erased restates its days within a minute; where the zone of a person changes, all their days are those of the new one once they are summed up anew.';

CREATE OR REPLACE VIEW ${views}.app_days
(
    user_id UUID COMMENT 'The person',
    user_name String COMMENT 'As it is now',
    date Date32 COMMENT 'A day of the zone of the person',
    timezone LowCardinality(String) COMMENT 'That zone',
    app String COMMENT 'The app',
    active_seconds UInt32 COMMENT 'Whole seconds: the union of its active entries. Of two devices at once both count, so that the sum of apps may be more than the day'
)
AS SELECT d.user_id AS user_id, p.name AS user_name, d.date AS date, d.timezone AS timezone, d.app AS app,
    d.seconds AS active_seconds
FROM (
    SELECT user_id, date, timezone, app, seconds FROM ${database}.days FINAL
    ARRAY JOIN apps AS app, app_seconds AS seconds
) AS d
INNER JOIN (SELECT id, name, timezone AS zone FROM ${database}.people FINAL) AS p ON p.id = d.user_id AND p.zone = d.timezone
COMMENT 'One row for each person, day and app with active time. Key: user_id, date, app. Unit: seconds. Late data: as days.';

CREATE OR REPLACE VIEW ${views}.host_days
(
    user_id UUID COMMENT 'The person',
    user_name String COMMENT 'As it is now',
    date Date32 COMMENT 'A day of the zone of the person',
    timezone LowCardinality(String) COMMENT 'That zone',
    host String COMMENT 'The host; time without one is not here',
    active_seconds UInt32 COMMENT 'Whole seconds: the union of its active entries. Of two devices at once both count, so that the sum of hosts may be more than the day'
)
AS SELECT d.user_id AS user_id, p.name AS user_name, d.date AS date, d.timezone AS timezone, d.host AS host,
    d.seconds AS active_seconds
FROM (
    SELECT user_id, date, timezone, host, seconds FROM ${database}.days FINAL
    ARRAY JOIN hosts AS host, host_seconds AS seconds
) AS d
INNER JOIN (SELECT id, name, timezone AS zone FROM ${database}.people FINAL) AS p ON p.id = d.user_id AND p.zone = d.timezone
COMMENT 'One row for each person, day and host with active time. Key: user_id, date, host. Unit: seconds. Late data: as days.';
