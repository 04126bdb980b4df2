/**
 * An array parameter of numbers or UUIDs. The driver would quote and escape each element, which is a tenth of this
 * process's time at full speed; these need neither. Never for text.
 */
export const plainArray = (values: readonly (number | string)[]): string => `{${values.join(',')}}`;
