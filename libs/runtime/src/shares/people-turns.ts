import { createTurns, type Turn, type TurnsOptions } from './turns.ts';

export interface PeopleTurnsOptions extends TurnsOptions {
  /** Works of one person that are in a place or in their organisation's queue; 2 unless said. */
  placesPerson?: number;
  /** Works of one person that may wait besides; 30 unless said. */
  maxWaitingPerson?: number;
}

/** Turns of organisations, and within each of its people. */
export interface PeopleTurns {
  /** @throws as `Turns.run`. */
  run<T>(
    who: { organizationId: string; userId: string },
    work: () => Promise<T>,
    turn?: Pick<Turn, 'signal'>,
  ): Promise<T>;
}

/**
 * As `createTurns`, for what a person asks for: few of their works stand in the organisation's queue at a time, so that a
 * colleague waits for those and not for all that one person wants.
 */
export function createPeopleTurns(options: PeopleTurnsOptions): PeopleTurns {
  const { placesPerson = 2, maxWaitingPerson = 30, ...rest } = options;
  const organizations = createTurns(rest);
  const people = createTurns({
    ...rest,
    name: `${rest.name} of a person`,
    // Bounded by the queues behind it.
    places: Number.POSITIVE_INFINITY,
    placesEach: placesPerson,
    maxWaitingEach: maxWaitingPerson,
  });
  return {
    run: ({ organizationId, userId }, work, { signal } = {}) => {
      const turn = { signal };
      return people.run(`${organizationId}/${userId}`, () => organizations.run(organizationId, work, turn), turn);
    },
  };
}
