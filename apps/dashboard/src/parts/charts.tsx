import { duration } from '../time/format.ts';

/** A hue in light or dark, the same for the same name everywhere. */
export function hueOf(name: string): string {
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)!) >>> 0;
  return `hsl(${(hash * 137) % 360} 52% ${hash % 2 === 0 ? 44 : 58}%)`;
}

export interface Bar {
  key: string;
  text: string;
  seconds: number;
  href?: string;
}

/** Lengths beside the table that has the numbers. */
export function BarTable({ bars, head, total }: { bars: readonly Bar[]; head: [string, string]; total?: number }) {
  const most = Math.max(1, ...bars.map(({ seconds }) => seconds));
  return (
    <table className="table">
      <thead>
        <tr>
          <th scope="col">{head[0]}</th>
          <td className="w-1/3 min-w-0! border-0 max-sm:hidden" />
          <th scope="col" className="number">
            {head[1]}
          </th>
        </tr>
      </thead>
      <tbody>
        {bars.map(({ key, text, seconds }) => (
          <tr key={key}>
            <td>{text}</td>
            <td className="min-w-0! max-sm:hidden" aria-hidden="true">
              <svg className="block h-3 w-full" preserveAspectRatio="none" viewBox="0 0 100 4" role="presentation">
                <rect width={(seconds / most) * 100} height="4" rx="0.5" fill={hueOf(text)} />
              </svg>
            </td>
            <td className="number">{duration(seconds)}</td>
          </tr>
        ))}
      </tbody>
      {total !== undefined && (
        <tfoot>
          <tr className="font-semibold">
            <td>Σ</td>
            <td className="max-sm:hidden" />
            <td className="number" data-total={total}>
              {duration(total)}
            </td>
          </tr>
        </tfoot>
      )}
    </table>
  );
}
