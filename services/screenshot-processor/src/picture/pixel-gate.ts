/** Runs work side by side as long as the pixels in work stay below a bound; what comes later waits its turn. */
export interface PixelGate {
  /** Work larger than the whole bound runs alone. */
  run<T>(pixels: number, work: () => Promise<T>): Promise<T>;
}

/**
 * Decoders of interlaced, progressive, WebP and AVIF files hold the whole picture, so memory follows the pixels in work and
 * not the number of pictures. First come, first served: a large picture is not passed by small ones for ever.
 */
export function createPixelGate(bound: number): PixelGate {
  const waiting: { pixels: number; start: () => void }[] = [];
  let running = 0;

  function admit(): void {
    while (waiting.length > 0 && (running === 0 || running + waiting[0]!.pixels <= bound)) {
      const next = waiting.shift()!;
      running += next.pixels;
      next.start();
    }
  }

  return {
    async run(pixels, work) {
      await new Promise<void>((start) => {
        waiting.push({ pixels, start });
        admit();
      });
      try {
        return await work();
      } finally {
        running -= pixels;
        admit();
      }
    },
  };
}
