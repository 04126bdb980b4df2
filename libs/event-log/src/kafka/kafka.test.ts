import { describe } from '@jest/globals';
import { backend } from '@worktide/backends';
import { eventLogContract } from '../contract/contract.ts';

describe('kafka', () => {
  eventLogContract(() => backend('kafka'));
});
