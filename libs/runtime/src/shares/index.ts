export * from './budget.ts';
export * from './in-flight.ts';
export * from './people-turns.ts';
export * from './turns.ts';
