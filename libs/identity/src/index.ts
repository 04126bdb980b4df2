export { bearerOf, isAgentKey } from './credential.ts';
export * from './identity.ts';
export { createLeads, type Leads, type Led } from './leads.ts';
export { userAsked } from './subject.ts';
export * from './tokens.ts';
