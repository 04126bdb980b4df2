import { randomUUID } from 'node:crypto';
import type { ClickHouse } from '@worktide/clickhouse';

/** A row of each kind for one organisation, with `word` in all that is text, so that it is found wherever it shows. */
export async function fillTables(clickhouse: ClickHouse, organizationId: string, word: string): Promise<void> {
  const [user, project, task, team] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
  const instant = '2026-11-20 10:00:00.000';
  const rows: Record<string, object> = {
    people: { id: user, name: word, role: 'manager', status: 'active', timezone: 'UTC', version: 1 },
    organizations: { name: word, timezone: 'UTC', subscription_status: 'pro', version: 1 },
    projects: { id: project, name: word, status: word, version: 1 },
    tasks: {
      id: task,
      project_id: project,
      title: word,
      status: 'todo',
      priority: 'low',
      assignee_id: user,
      creator_id: user,
      version: 1,
    },
    teams: { id: team, name: word, member_ids: [user], lead_ids: [user], version: 1 },
    usage: {
      user_id: user,
      started_at: instant,
      id: randomUUID(),
      ended_at: '2026-11-20 11:00:00.000',
      device_id: word,
      source: 'window',
      app: word,
      host: word,
      state: 'active',
      version: 1,
    },
    pings: {
      user_id: user,
      started_at: new Date().toISOString().slice(0, 23).replace('T', ' '),
      id: randomUUID(),
      ended_at: instant,
      device_id: word,
      source: 'window',
      app: word,
      state: 'active',
      title: word,
      url: word,
      received_at: instant,
    },
    time_entries: {
      user_id: user,
      id: randomUUID(),
      kind: 'timer',
      status: 'STOPPED',
      project_id: project,
      task_id: task,
      description: word,
      tags: [word],
      started_at: instant,
      ended_at: '2026-11-20 12:00:00.000',
      pause_starts: ['2026-11-20 11:00:00.000'],
      pause_ends: ['2026-11-20 11:00:00.500'],
      created_at: instant,
      updated_at: instant,
      version: 1,
    },
    input_minutes: { user_id: user, minute: instant, device_id: word, keyboard_clicks: 3, mouse_movements: 4 },
    alerts: {
      user_id: user,
      id: randomUUID(),
      type: 'idle',
      date: '2026-11-20',
      message: word,
      created_at: instant,
      version: 1,
    },
    screenshots: {
      user_id: user,
      id: randomUUID(),
      status: 'ready',
      captured_at: instant,
      failure_code: word,
      version: 1,
    },
    days: {
      user_id: user,
      date: '2026-11-20',
      timezone: 'UTC',
      work_seconds: 3600,
      active_seconds: 3000,
      hosted_seconds: 3000,
      apps: [word],
      app_seconds: [3000],
      hosts: [word],
      host_seconds: [3000],
      version: 1,
    },
    audit: {
      at: instant,
      id: randomUUID(),
      action: word,
      actor_type: 'user',
      entity_type: 'x',
      entity_id: 'x',
      before: '',
      after: word,
      service: 'x',
    },
  };
  for (const [table, row] of Object.entries(rows)) {
    const data = [Buffer.from(JSON.stringify({ organization_id: organizationId, ...row }))];
    const columns = ['organization_id', ...Object.keys(row)];
    await clickhouse.insert({ table, columns, format: 'JSONEachRow', data });
  }
}
