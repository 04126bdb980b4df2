export { bearerOf, isAgentKey } from './credential.ts';
export * from './identity.ts';
export { userAsked } from './subject.ts';
export * from './tokens.ts';
