export { maxKeyBytes } from './keys.ts';
export { makeBucket } from './make-bucket.ts';
export { openObjectStore } from './open.ts';
export type {
  ListedObject,
  ObjectStore,
  ObjectStoreOptions,
  OpenedObject,
  PutOptions,
  StoredObject,
} from './types.ts';
