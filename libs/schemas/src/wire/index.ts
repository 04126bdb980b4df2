export { type Codec, createCodec } from './codec.ts';
export { incompatibilities } from './compatibility.ts';
export { type JsonSchema, jsonSchemaOf } from './json-schema.ts';
export * from './read.ts';
export { openSchemaRegistry, type SchemaRegistry } from './registry.ts';
export * from './split.ts';
export { subjectOf } from './subject.ts';
