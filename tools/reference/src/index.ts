export { pagePath, renderReference } from './page.ts';
