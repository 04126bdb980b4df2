import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';
import { openLogSink } from './log-sink.ts';
import { traceparentFor } from './tracing.ts';

export type Logger = PinoLogger;

/** Field names whose values never reach a log line, at the top level and one level down. */
const secretFields = ['authorization', 'cookie', 'password', 'currentPassword', 'newPassword', 'token', 'accessToken'];
secretFields.push('refreshToken', 'access_token', 'refresh_token', 'key', 'secret', 'set-cookie');

const isLevel = (level = ''): level is string => level === 'silent' || Object.hasOwn(pino.levels.values, level);

/**
 * JSON lines on stdout, ISO times, secrets redacted.
 * @param level pino's levels, `silent` for tests. Of one that is none the configuration tells, so there must be a log.
 */
export function createLogger(options: { service: string; level?: string; destination?: DestinationStream }): Logger {
  const redacted = secretFields.flatMap((f) => [`["${f}"]`, `*["${f}"]`]);
  return pino(
    {
      level: isLevel(options.level) ? options.level : 'info',
      base: { service: options.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // What it was part of, where traces are kept.
      mixin() {
        const traceparent = traceparentFor();
        return traceparent === undefined ? {} : { traceId: traceparent.slice(3, 35) };
      },
      redact: { paths: redacted, censor: '[redacted]' },
    },
    options.destination ?? openLogSink(1),
  );
}

/** A logger that says nothing, for tests. */
export const silentLogger = (): Logger => pino({ level: 'silent' });
