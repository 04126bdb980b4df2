import { consumingContract } from './consuming.ts';
import { deadLettersContract } from './dead-letters.ts';
import { logFixture } from './fixture.ts';
import { membersContract } from './members.ts';
import { operatingContract } from './operating.ts';
import { producingContract } from './producing.ts';

/** What every adapter promises; run against a log on each. `url` is without a query. */
export function eventLogContract(url: () => Promise<string>): void {
  const setUp = logFixture(url);
  producingContract(setUp);
  consumingContract(setUp);
  membersContract(setUp);
  operatingContract(setUp);
  deadLettersContract(setUp);
}
