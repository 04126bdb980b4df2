export { askInternal, type Internal } from './ask-internal.ts';
export { bearerOf, isAgentKey } from './credential.ts';
export * from './identity.ts';
export { createLeads, type Leads, type Led } from './leads.ts';
export { type ColleagueOptions, colleagueAsked, userAsked } from './subject.ts';
export * from './tokens.ts';
