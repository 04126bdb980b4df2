export { runDeadLetters } from './run.ts';
