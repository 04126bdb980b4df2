export { drawScreenshot, type ScreenshotOptions } from './draw-screenshot.ts';
export { type FleetResult, runFleet } from './fleet.ts';
export type { FleetOptions, Origins } from './options.ts';
export { dayBounds, localDate } from './oracle/days.ts';
export { createLedger, type ExpectedEntry, type Ledger, type WirePing } from './oracle/ledger.ts';
export { type Entry, type Key, mergeSpans, type Span } from './oracle/merge.ts';
export { type DayReport, dayReport, daysTouched, unionMs } from './oracle/reports.ts';
export { summaryOf, verdictLines } from './verdict.ts';
export type { Verification } from './verify/verify.ts';
