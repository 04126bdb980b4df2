import type { StoredTopic } from './store.ts';

export interface AssignedPartition {
  topic: StoredTopic;
  partition: number;
}

export interface Member {
  /** Whole names, prefix included. */
  topics: string[];
  /** Called whenever the division changes; what was not committed is then read again by whoever has it. */
  assign(partitions: AssignedPartition[]): void;
}

/**
 * Consumer groups within this process: partitions are dealt out evenly among a group's members. Other processes know
 * nothing of them, so a group's consumers belong into one process; elsewhere the log may be read and written.
 */
export interface Groups {
  join(group: string, member: Member): void;
  leave(group: string, member: Member): void;
  isActive(group: string): boolean;
  /** Deals out anew where topics were created or got partitions. */
  refresh(): void;
}

export function createGroups(findTopic: (name: string) => StoredTopic | undefined): Groups {
  const groups = new Map<string, { members: Member[]; dealt: string }>();

  function deal(members: Member[]): Map<Member, AssignedPartition[]> {
    const hands = new Map<Member, AssignedPartition[]>(members.map((member) => [member, []]));
    const names = new Set(members.flatMap((member) => member.topics));
    let turn = 0;
    for (const name of [...names].sort()) {
      const topic = findTopic(name);
      const takers = members.filter((member) => member.topics.includes(name) && hasAllTopics(member));
      if (!topic || takers.length === 0) continue;
      for (let partition = 0; partition < topic.partitions; partition++) {
        hands.get(takers[turn++ % takers.length]!)!.push({ topic, partition });
      }
    }
    return hands;
  }

  // As on Kafka: a consumer whose topics do not all exist has not started.
  const hasAllTopics = (member: Member): boolean => member.topics.every((name) => findTopic(name) !== undefined);

  /** What a division depends on besides the members. */
  const describe = (members: Member[]): string =>
    members.map(({ topics }) => topics.map((name) => `${name}:${findTopic(name)?.partitions}`).join()).join(';');

  function redeal(group: { members: Member[]; dealt: string }): void {
    group.dealt = describe(group.members);
    for (const [member, hand] of deal(group.members)) if (hasAllTopics(member)) member.assign(hand);
  }

  return {
    join(name, member) {
      const group = groups.get(name) ?? { members: [], dealt: '' };
      groups.set(name, group);
      group.members.push(member);
      redeal(group);
    },
    leave(name, member) {
      const group = groups.get(name);
      if (!group) return;
      group.members = group.members.filter((one) => one !== member);
      if (group.members.length === 0) groups.delete(name);
      else redeal(group);
    },
    isActive: (name) => groups.has(name),
    refresh() {
      for (const group of groups.values()) if (group.dealt !== describe(group.members)) redeal(group);
    },
  };
}
