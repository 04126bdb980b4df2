/**
 * The functions that analysts may use: of values alone, each cheap for its input. Not here, among others: what reads
 * files, dictionaries, other tables or settings; what names a function in a text (`arrayReduce`); what waits (`sleep`),
 * fails at will (`throwIf`) or makes much of nothing (`repeat`, `range` is bounded by the engine). Names as the engine
 * writes them in a syntax tree, lower case.
 */
const plain = `
  plus minus multiply divide intDiv intDivOrZero modulo positiveModulo negate abs sign gcd lcm max2 min2 least greatest
  divideOrNull moduloOrNull intDivOrNull moduloOrZero
  round roundBankers floor ceil ceiling trunc truncate roundToExp2 roundDuration roundAge exp log ln log2 log10 log1p sqrt cbrt
  pow power sin cos tan asin acos atan atan2 degrees radians pi e widthBucket isNaN isFinite isInfinite ifNotFinite
  equals notEquals less greater lessOrEquals greaterOrEquals isNotDistinctFrom isDistinctFrom and or xor not in notIn exists
  if multiIf caseWithExpression caseWithoutExpression coalesce ifNull nullIf isNull isNotNull assumeNotNull toNullable isZeroOrNull
  like notLike ilike notILike match
  CAST accurateCast accurateCastOrNull accurateCastOrDefault _CAST
  toInt8 toInt16 toInt32 toInt64 toInt128 toInt256 toUInt8 toUInt16 toUInt32 toUInt64 toUInt128 toUInt256 toFloat32 toFloat64
  toInt8OrNull toInt16OrNull toInt32OrNull toInt64OrNull toUInt8OrNull toUInt16OrNull toUInt32OrNull toUInt64OrNull
  toFloat32OrNull toFloat64OrNull toInt8OrZero toInt16OrZero toInt32OrZero toInt64OrZero toUInt8OrZero toUInt16OrZero
  toUInt32OrZero toUInt64OrZero toFloat32OrZero toFloat64OrZero toDecimal32 toDecimal64 toDecimal128 toBool
  toString toFixedString toUUID toUUIDOrNull toUUIDOrZero toDate toDateOrNull toDateOrZero toDate32 toDate32OrNull toDate32OrZero
  toDateTime toDateTimeOrNull toDateTimeOrZero toDateTime64 toDateTime64OrNull toDateTime64OrZero toLowCardinality toTypeName
  parseDateTime parseDateTimeOrNull parseDateTimeBestEffort parseDateTimeBestEffortOrNull parseDateTime64BestEffort
  parseDateTime64BestEffortOrNull
  now now64 today yesterday timezone toTimezone timezoneOf timezoneOffset toYear toQuarter toMonth toDayOfYear toDayOfMonth toDayOfWeek toHour
  toMinute toSecond toMillisecond toISOYear toISOWeek toWeek toYearWeek toUnixTimestamp toUnixTimestamp64Milli
  toUnixTimestamp64Micro fromUnixTimestamp fromUnixTimestamp64Milli fromUnixTimestamp64Micro toStartOfYear toStartOfISOYear
  toStartOfQuarter toStartOfMonth toLastDayOfMonth toMonday toStartOfWeek toLastDayOfWeek toStartOfDay toStartOfHour
  toStartOfMinute toStartOfSecond toStartOfFiveMinutes toStartOfTenMinutes toStartOfFifteenMinutes toStartOfInterval toTime
  toRelativeYearNum toRelativeMonthNum toRelativeWeekNum toRelativeDayNum toRelativeHourNum toRelativeMinuteNum
  toRelativeSecondNum toYYYYMM toYYYYMMDD toYYYYMMDDhhmmss dateDiff date_diff age dateTrunc date_trunc
  addDate subDate addYears addQuarters addMonths addWeeks addDays addHours addMinutes addSeconds addMilliseconds
  subtractYears subtractQuarters subtractMonths subtractWeeks subtractDays subtractHours subtractMinutes subtractSeconds
  subtractMilliseconds toIntervalYear toIntervalQuarter toIntervalMonth toIntervalWeek toIntervalDay toIntervalHour
  toIntervalMinute toIntervalSecond toIntervalMillisecond formatDateTime formatDateTimeInJodaSyntax monthName dateName
  makeDate makeDate32 makeDateTime makeDateTime64 toDaysSinceYearZero timeSlot
  formatReadableSize formatReadableQuantity formatReadableTimeDelta formatReadableDecimalSize
  empty notEmpty length lengthUTF8 char_length character_length lower upper lowerUTF8 upperUTF8 lcase ucase reverse reverseUTF8 concat
  concatWithSeparator concat_ws substring substr mid substringUTF8 substringIndex left right leftUTF8 rightUTF8 trim trimBoth trimLeft
  trimRight ltrim rtrim initcap initcapUTF8 startsWith endsWith startsWithUTF8 endsWithUTF8 position positionCaseInsensitive
  positionUTF8 positionCaseInsensitiveUTF8 locate hasToken countSubstrings replace replaceOne replaceAll
  replaceRegexpOne replaceRegexpAll extract countMatches extractAll
  splitByChar splitByString splitByWhitespace splitByNonAlpha arrayStringConcat hex unhex base64Encode base64Decode
  appendTrailingCharIfAbsent toValidUTF8 ascii char
  domain domainWithoutWWW topLevelDomain firstSignificantSubdomain cutToFirstSignificantSubdomain
  tuple tupleElement untuple array arrayElement arrayElementOrNull map mapKeys mapValues mapContains mapContainsKey lambda
  has hasAll hasAny hasSubstr indexOf countEqual arrayConcat arrayDistinct arrayUniq arrayEnumerate arrayEnumerateUniq arrayReverse
  arraySlice arrayPopBack arrayPopFront arrayPushBack arrayPushFront arrayCompact arrayFlatten arrayIntersect arrayZip
  arraySort arrayReverseSort arrayPartialSort arrayMap arrayFilter arrayExists arrayAll arrayCount arrayFirst arrayLast arrayFirstIndex
  arrayLastIndex arraySum arrayAvg arrayMin arrayMax arrayProduct arrayCumSum arrayDifference arrayJoin range
  JSONExtractString JSONExtractInt JSONExtractUInt JSONExtractFloat JSONExtractBool JSONExtractKeys JSONHas JSONLength
  toJSONString isValidJSON
  cityHash64 xxHash64 sipHash64 halfMD5 MD5 SHA256 CRC32 rand rand64 generateUUIDv4
  bitAnd bitOr bitXor bitNot bitShiftLeft bitShiftRight bitTest bitCount roundDown bar transform
  row_number rank dense_rank percent_rank cume_dist ntile first_value last_value nth_value lag lead lagInFrame leadInFrame
  grouping identity materialize version revision displayName
`;

/** Aggregates; each also with the combinators below. */
const aggregates = `
  count sum sumKahan sumWithOverflow avg avgWeighted min max any anyLast any_value argMin argMax uniq uniqExact uniqCombined uniqHLL12
  median medianExact quantile quantiles quantileExact quantilesExact quantileTDigest quantilesTDigest quantileTiming
  quantileDeterministic quantileExactWeighted quantilesExactWeighted quantileExactInclusive quantileExactExclusive
  stddevPop stddevSamp varPop varSamp stddev_pop stddev_samp var_pop var_samp covarPop covarSamp corr skewPop skewSamp kurtPop
  kurtSamp simpleLinearRegression groupArray groupUniqArray groupArraySorted groupConcat topK topKWeighted
  entropy intervalLengthSum maxIntersections maxIntersectionsPosition deltaSum deltaSumTimestamp
  boundingRatio singleValueOrNull first_value last_value groupBitAnd groupBitOr groupBitXor array_agg
`;
const combinators = 'If Distinct OrNull OrDefault Array ArrayIf DistinctIf'.split(' ');

const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);

export const functions: ReadonlySet<string> = new Set(
  [...words(plain), ...words(aggregates), ...words(aggregates).flatMap((name) => combinators.map((c) => name + c))].map(
    (name) => name.toLowerCase(),
  ),
);

/** For a test that they are functions of the engine. */
export const namedFunctions: readonly string[] = [...words(plain), ...words(aggregates)];
