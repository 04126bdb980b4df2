export { type RunnableService, runService } from './run-service.ts';
