import kafkajs from 'kafkajs';

/** What a broker itself answered, if that is why something failed. kafkajs wraps it, once or twice. */
export function answerIn(error: unknown): kafkajs.KafkaJSProtocolError | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof kafkajs.KafkaJSProtocolError) return at;
  return undefined;
}
