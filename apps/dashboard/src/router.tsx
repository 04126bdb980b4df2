import type { QueryClient } from '@tanstack/react-query';
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router';
import { currentSession } from './api/session.ts';
import { Empty, Failure, Loading } from './parts/states.tsx';
import { Toasts } from './parts/toasts.tsx';
import { Shell } from './shell.tsx';
import { t } from './text/index.ts';
import { dateIn } from './time/zones.ts';

/** Search parameters as links have them: whatever is not as it must be is as if it were not there. */
type Raw = Record<string, unknown>;
const textIn = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== ''
    ? value.slice(0, 500)
    : typeof value === 'number'
      ? String(value)
      : undefined;
const oneOf = <T extends string>(value: unknown, all: readonly T[]): T | undefined => all.find((one) => one === value);
/** Only what is said is in a link. */
const said = <T extends object>(search: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined)) as never;

const root = createRootRoute({
  component: () => (
    <>
      <Outlet />
      <Toasts />
    </>
  ),
});

const stranger = createRoute({
  getParentRoute: () => root,
  id: 'stranger',
  validateSearch: ({ next }: Raw) => said({ next: textIn(next) }),
  beforeLoad: ({ search }) => {
    if (currentSession().status !== 'in') return;
    const { next } = search;
    // A path of ours, never another origin.
    throw redirect({ href: next && /^\/(?![/\\])/.test(next) ? next : '/', replace: true });
  },
});
const door = () => import('./views/door.tsx');
const login = createRoute({
  getParentRoute: () => stranger,
  path: '/login',
  component: lazyRouteComponent(door, 'Login'),
});
const register = createRoute({
  getParentRoute: () => stranger,
  path: '/register',
  component: lazyRouteComponent(door, 'Register'),
});
const forgot = createRoute({
  getParentRoute: () => stranger,
  path: '/forgot-password',
  component: lazyRouteComponent(door, 'Forgot'),
});
const withToken = ({ token }: Raw) => said({ token: textIn(token) });
const reset = createRoute({
  getParentRoute: () => root,
  path: '/reset-password',
  validateSearch: withToken,
  component: lazyRouteComponent(door, 'Reset'),
});
const accept = createRoute({
  getParentRoute: () => root,
  path: '/accept-invitation',
  validateSearch: withToken,
  component: lazyRouteComponent(door, 'Accept'),
});
const verify = createRoute({
  getParentRoute: () => root,
  path: '/verify-address',
  validateSearch: withToken,
  component: lazyRouteComponent(door, 'Verify'),
});

const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  component: Shell,
  beforeLoad: ({ location }) => {
    if (currentSession().status === 'in') return;
    const next = location.href === '/' ? {} : { next: location.href };
    throw redirect({ to: '/login', search: next, replace: true });
  },
});
const under = () => inside;

const todayRoute = createRoute({
  getParentRoute: under,
  path: '/',
  component: lazyRouteComponent(() => import('./views/today.tsx'), 'Today'),
});
const welcome = createRoute({
  getParentRoute: under,
  path: '/connect',
  component: lazyRouteComponent(() => import('./views/connect.tsx'), 'Connect'),
});
const timeline = createRoute({
  getParentRoute: under,
  path: '/timeline',
  validateSearch: ({ view, date, userId, zone }: Raw) =>
    said({ view: oneOf(view, ['day', 'week']), date: dateIn(date), userId: textIn(userId), zone: textIn(zone) }),
  component: lazyRouteComponent(() => import('./views/timeline.tsx'), 'Timeline'),
});

const reportSearch = ({ from, to, userId, zone, teamId, group }: Raw) =>
  said({
    from: dateIn(from),
    to: dateIn(to),
    userId: textIn(userId),
    zone: textIn(zone),
    teamId: textIn(teamId),
    group: oneOf(group, ['day', 'week']),
  });
const reports = createRoute({ getParentRoute: under, path: '/reports', validateSearch: reportSearch });
const reportsHome = createRoute({
  getParentRoute: () => reports,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/reports/days', replace: true });
  },
});
const days = createRoute({
  getParentRoute: () => reports,
  path: '/days',
  component: lazyRouteComponent(() => import('./views/reports/days.tsx'), 'Days'),
});
const apps = createRoute({
  getParentRoute: () => reports,
  path: '/apps',
  component: lazyRouteComponent(() => import('./views/reports/apps.tsx'), 'Apps'),
});
const sites = createRoute({
  getParentRoute: () => reports,
  path: '/sites',
  component: lazyRouteComponent(() => import('./views/reports/apps.tsx'), 'Sites'),
});
const heat = createRoute({
  getParentRoute: () => reports,
  path: '/hours',
  component: lazyRouteComponent(() => import('./views/reports/hours.tsx'), 'Hours'),
});
const trends = createRoute({
  getParentRoute: () => reports,
  path: '/trends',
  component: lazyRouteComponent(() => import('./views/reports/trends.tsx'), 'Trends'),
});
const timesheet = createRoute({
  getParentRoute: () => reports,
  path: '/timesheet',
  component: lazyRouteComponent(() => import('./views/reports/timesheet.tsx'), 'Timesheet'),
});
const teamReport = createRoute({
  getParentRoute: () => reports,
  path: '/team',
  component: lazyRouteComponent(() => import('./views/reports/team.tsx'), 'TeamReport'),
});
const organizationReport = createRoute({
  getParentRoute: () => reports,
  path: '/organization',
  component: lazyRouteComponent(() => import('./views/reports/organization.tsx'), 'OrganizationReport'),
});
const exports = createRoute({
  getParentRoute: () => reports,
  path: '/exports',
  component: lazyRouteComponent(() => import('./views/reports/exports.tsx'), 'Exports'),
});
const exportOne = createRoute({
  getParentRoute: () => reports,
  path: '/exports/$id',
  component: lazyRouteComponent(() => import('./views/reports/exports.tsx'), 'Exports'),
});

const team = createRoute({
  getParentRoute: under,
  path: '/team',
  component: lazyRouteComponent(() => import('./views/team.tsx'), 'Team'),
});
const screenshots = createRoute({
  getParentRoute: under,
  path: '/screenshots',
  validateSearch: ({ date, userId }: Raw) => said({ date: dateIn(date), userId: textIn(userId) }),
  component: lazyRouteComponent(() => import('./views/screenshots.tsx'), 'Screenshots'),
});
const alertsView = lazyRouteComponent(() => import('./views/alerts.tsx'), 'Alerts');
const alerts = createRoute({
  getParentRoute: under,
  path: '/alerts',
  validateSearch: ({ state }: Raw) => said({ state: oneOf(state, ['open', 'resolved']) }),
  component: alertsView,
});
const alertOne = createRoute({ getParentRoute: under, path: '/alerts/$id', component: alertsView });
const projects = createRoute({
  getParentRoute: under,
  path: '/projects',
  component: lazyRouteComponent(() => import('./views/projects.tsx'), 'Projects'),
});
const tasksView = lazyRouteComponent(() => import('./views/tasks.tsx'), 'Tasks');
const tasks = createRoute({
  getParentRoute: under,
  path: '/tasks',
  validateSearch: ({ view, projectId, mine }: Raw) =>
    said({
      view: oneOf(view, ['board', 'list']),
      projectId: textIn(projectId),
      mine: mine === true ? true : undefined,
    }),
  component: tasksView,
});
const taskOne = createRoute({ getParentRoute: under, path: '/tasks/$id', component: tasksView });
const teams = createRoute({
  getParentRoute: under,
  path: '/teams',
  component: lazyRouteComponent(() => import('./views/teams.tsx'), 'Teams'),
});
const peopleView = lazyRouteComponent(() => import('./views/people.tsx'), 'People');
const people = createRoute({
  getParentRoute: under,
  path: '/people',
  validateSearch: ({ search }: Raw) => said({ search: textIn(search) }),
  component: peopleView,
});
const personOne = createRoute({ getParentRoute: under, path: '/people/$id', component: peopleView });
const audit = createRoute({
  getParentRoute: under,
  path: '/audit',
  validateSearch: ({ action, actorId, from, to }: Raw) =>
    said({ action: textIn(action), actorId: textIn(actorId), from: dateIn(from), to: dateIn(to) }),
  component: lazyRouteComponent(() => import('./views/audit.tsx'), 'Audit'),
});
const sql = createRoute({
  getParentRoute: under,
  path: '/sql',
  component: lazyRouteComponent(() => import('./views/sql.tsx'), 'Sql'),
});
const privacy = createRoute({
  getParentRoute: under,
  path: '/privacy',
  component: lazyRouteComponent(() => import('./views/privacy.tsx'), 'Privacy'),
});

const settings = createRoute({
  getParentRoute: under,
  path: '/settings',
  component: lazyRouteComponent(() => import('./views/settings/frame.tsx'), 'Settings'),
});
const settingsHome = createRoute({
  getParentRoute: () => settings,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/settings/profile', replace: true });
  },
});
const profile = createRoute({
  getParentRoute: () => settings,
  path: '/profile',
  component: lazyRouteComponent(() => import('./views/settings/profile.tsx'), 'Profile'),
});
const security = createRoute({
  getParentRoute: () => settings,
  path: '/security',
  component: lazyRouteComponent(() => import('./views/settings/security.tsx'), 'Security'),
});
const agentKeys = createRoute({
  getParentRoute: () => settings,
  path: '/agent-keys',
  component: lazyRouteComponent(() => import('./views/settings/agent-keys.tsx'), 'AgentKeys'),
});
const notificationsSettings = createRoute({
  getParentRoute: () => settings,
  path: '/notifications',
  component: lazyRouteComponent(() => import('./views/settings/notifications.tsx'), 'Notifications'),
});
const organization = createRoute({
  getParentRoute: () => settings,
  path: '/organization',
  component: lazyRouteComponent(() => import('./views/settings/organization.tsx'), 'OrganizationSettings'),
});
const imports = createRoute({
  getParentRoute: () => settings,
  path: '/imports',
  component: lazyRouteComponent(() => import('./views/settings/imports.tsx'), 'Imports'),
});
const webhooksView = lazyRouteComponent(() => import('./views/settings/webhooks.tsx'), 'Webhooks');
const webhooks = createRoute({ getParentRoute: () => settings, path: '/webhooks', component: webhooksView });
const webhookOne = createRoute({ getParentRoute: () => settings, path: '/webhooks/$id', component: webhooksView });

const tree = root.addChildren([
  stranger.addChildren([login, register, forgot]),
  reset,
  accept,
  verify,
  inside.addChildren([
    todayRoute,
    welcome,
    timeline,
    reports.addChildren([
      reportsHome,
      days,
      apps,
      sites,
      heat,
      trends,
      timesheet,
      teamReport,
      organizationReport,
      exports,
      exportOne,
    ]),
    team,
    screenshots,
    alerts,
    alertOne,
    projects,
    tasks,
    taskOne,
    teams,
    people,
    personOne,
    audit,
    sql,
    privacy,
    settings.addChildren([
      settingsHome,
      profile,
      security,
      agentKeys,
      notificationsSettings,
      organization,
      imports,
      webhooks,
      webhookOne,
    ]),
  ]),
]);

export function createAppRouter(_queries: QueryClient) {
  return createRouter({
    routeTree: tree,
    defaultPreload: 'intent',
    scrollRestoration: false,
    defaultPendingComponent: Loading,
    defaultErrorComponent: ({ error, reset: again }) => <Failure error={error} onRetry={again} />,
    defaultNotFoundComponent: () => (
      <div className="mx-auto max-w-md p-10">
        <Empty title={t('There is no such page.')}>
          <a className="underline" href="/">
            {t('Today')}
          </a>
        </Empty>
      </div>
    ),
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
