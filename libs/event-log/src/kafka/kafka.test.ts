import { describe } from '@jest/globals';
import { backend } from '@worktide/backends';
import { eventLogContract } from '../contract/contract.ts';
import { offsetsContract } from '../contract/offsets.ts';

describe('kafka', () => {
  eventLogContract(() => backend('kafka'));
  offsetsContract(() => backend('kafka'));
});
