export * from './heartbeat.ts';
export * from './ping-fields.ts';
