/** The registry's name for the values of a topic (Confluent's TopicNameStrategy). */
export const subjectOf = (topic: string): string => `${topic}-value`;
