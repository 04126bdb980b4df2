export * from './budget.ts';
export * from './turns.ts';
