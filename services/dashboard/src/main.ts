import { runService } from '@worktide/service';
import * as service from './index.ts';

await runService(service);
