export { openKeyValue } from './open.ts';
export { type KeyValue, type KeyValueOptions, maxKeyLength, maxValueBytes } from './types.ts';
