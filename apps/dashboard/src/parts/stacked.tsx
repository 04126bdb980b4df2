import { t } from '../text/index.ts';
import { duration } from '../time/format.ts';

interface Stacked {
  key: string;
  text: string;
  parts: readonly number[];
}

/** Filled for the first part, an outline with a hatch for the second: told apart without their colours. */
const looks = [
  { fill: 'var(--accent)', stroke: 'none' },
  { fill: 'url(#hatch)', stroke: 'var(--quiet)' },
];

/** Bars of parts over days or weeks; the numbers are in the table below it. Seconds. */
export function StackedBars({ bars, parts }: { bars: readonly Stacked[]; parts: readonly string[] }) {
  const height = 200;
  // Up to a whole and even hour, so that lines say something.
  const greatest = Math.max(1, ...bars.map((bar) => bar.parts.reduce((sum, part) => sum + part, 0)));
  const most = Math.ceil(greatest / 7_200) * 7_200;
  const every = Math.ceil(bars.length / 12);
  const lines = [0.5, 1];
  return (
    <figure>
      <svg
        className="block w-full"
        height={height + 28}
        role="img"
        aria-label={t('Bars of {parts}', { parts: parts.join(', ') })}
      >
        <defs>
          <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="6" height="6" fill="var(--surface)" />
            <rect width="2" height="6" fill="var(--quiet)" />
          </pattern>
        </defs>
        {lines.map((line) => (
          <g key={line}>
            <line x1="0" x2="100%" y1={height * (1 - line) + 14} y2={height * (1 - line) + 14} stroke="var(--line)" />
            <text x="0" y={height * (1 - line) + 10} fontSize="11" fill="var(--quiet)">
              {duration(most * line)}
            </text>
          </g>
        ))}
        {bars.map((bar, n) => {
          const width = 100 / bars.length;
          let below = 0;
          return (
            <g key={bar.key}>
              {bar.parts.map((part, index) => {
                const tall = (part / most) * height;
                below += tall;
                return (
                  <rect
                    key={parts[index]}
                    x={`${width * n + width * 0.2}%`}
                    width={`${width * 0.6}%`}
                    y={height - below + 14}
                    height={tall}
                    {...looks[index]}
                  >
                    <title>{`${bar.text}: ${parts[index]} ${duration(part)}`}</title>
                  </rect>
                );
              })}
              {n % every === 0 && (
                <text
                  x={`${width * (n + 0.5)}%`}
                  y={height + 26}
                  fontSize="11"
                  textAnchor="middle"
                  fill="var(--quiet)"
                  className={n % (every * 3) === every ? '' : 'max-sm:hidden'}
                >
                  {bar.text}
                </text>
              )}
            </g>
          );
        })}
      </svg>
      <figcaption className="mt-2 flex gap-4 text-sm">
        {parts.map((part, index) => (
          <span key={part} className="flex items-center gap-1.5">
            <svg className="size-3" aria-hidden="true">
              <rect width="12" height="12" {...looks[index]} />
            </svg>
            {part}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}
