import { memo, useEffect, useRef } from 'react';

export interface StripItem {
  /** Instants, in ms. */
  from: number;
  to: number;
  color: string;
  text: string;
  /** Drawn hatched as well: nothing is said by colour alone. */
  isIdle?: boolean;
}

/** Beyond this many rectangles a browser takes longer for elements than for pixels. */
export const mostElements = 2_000;

/**
 * What was when, on one line over [from, to). Its numbers stand in a table beside it, so to a screen reader it is a picture with a name.
 */
export const Strip = memo(function Strip({
  items,
  from,
  to,
  label,
  height = 26,
}: {
  items: readonly StripItem[];
  from: number;
  to: number;
  label: string;
  height?: number;
}) {
  if (items.length > mostElements) return <CanvasStrip {...{ items, from, to, label, height }} />;
  const span = to - from;
  return (
    <svg className="block w-full rounded bg-page" height={height} role="img" aria-label={label}>
      {items.map((item, n) => {
        const start = Math.max(item.from, from);
        const width = ((Math.min(item.to, to) - start) / span) * 100;
        return (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: two devices may do the same at once, and all of it is drawn anew.
            key={n}
            x={`${((start - from) / span) * 100}%`}
            width={`${Math.max(width, 0.05)}%`}
            y={item.isIdle ? height / 3 : 0}
            height={item.isIdle ? height / 3 : height}
            fill={item.color}
          >
            <title>{item.text}</title>
          </rect>
        );
      })}
    </svg>
  );
});

const waiting = new Set<() => void>();

/** One drawing a frame: several lanes at once would make one long frame of it. Until then a canvas shows its old picture, stretched. */
function inTurn(draw: () => void): void {
  if (waiting.size === 0) requestAnimationFrame(drawNext);
  waiting.add(draw);
}

function drawNext(): void {
  const [draw] = waiting;
  if (!draw) return;
  waiting.delete(draw);
  draw();
  if (waiting.size > 0) requestAnimationFrame(drawNext);
}

/** By colour as a canvas knows it, which knows no variables: a colour is dear to set, a rectangle is not. */
function byColor(items: readonly StripItem[], canvas: HTMLCanvasElement): [string, StripItem[]][] {
  const groups = new Map<string, StripItem[]>();
  for (const item of items) {
    const group = groups.get(item.color);
    if (group) group.push(item);
    else groups.set(item.color, [item]);
  }
  const known = (color: string): string => {
    canvas.style.color = color;
    return getComputedStyle(canvas).color;
  };
  return [...groups].map(([color, group]) => [known(color), group]);
}

function CanvasStrip({
  items,
  from,
  to,
  label,
  height,
}: {
  items: readonly StripItem[];
  from: number;
  to: number;
  label: string;
  height: number;
}) {
  const ref = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const canvas = ref.current!;
    const groups = byColor(items, canvas);
    const draw = (): void => {
      const scale = Math.min(window.devicePixelRatio || 1, 2);
      // A second is less than a pixel then; a wider strip is stretched.
      const width = Math.min(Math.round(canvas.clientWidth * scale), 8_000);
      if (width === 0) return;
      canvas.width = width;
      canvas.height = Math.round(height * scale);
      const pen = canvas.getContext('2d')!;
      const perMs = width / (to - from);
      for (const [color, group] of groups) {
        pen.fillStyle = color;
        for (const item of group) {
          const x = (Math.max(item.from, from) - from) * perMs;
          const w = Math.max((Math.min(item.to, to) - from) * perMs - x, 0.5);
          pen.fillRect(x, item.isIdle ? canvas.height / 3 : 0, w, item.isIdle ? canvas.height / 3 : canvas.height);
        }
      }
    };
    const watcher = new ResizeObserver(() => inTurn(draw));
    watcher.observe(canvas);
    return () => {
      watcher.disconnect();
      waiting.delete(draw);
    };
  }, [items, from, to, height]);
  return <canvas ref={ref} role="img" aria-label={label} className="block w-full rounded bg-page" height={height} />;
}
