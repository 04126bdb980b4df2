export { bearerOf, isAgentKey } from './credential.ts';
export * from './identity.ts';
export * from './tokens.ts';
