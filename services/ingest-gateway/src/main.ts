import { keepRequestsYoung } from '@worktide/runtime';
import { runService } from '@worktide/service';
import * as service from './index.ts';

keepRequestsYoung();
await runService(service);
