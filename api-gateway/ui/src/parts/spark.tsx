import { count } from "../format";
import type { Point } from "../lag";

/** A line of what was outstanding, over the last minutes; its height is its own greatest value. */
export function Spark({ points, now, tone }: { points: Point[]; now: number; tone: string }) {
  const [width, height] = [88, 22];
  const span = 5 * 60_000;
  const most = Math.max(1, ...points.map((point) => point[1]));
  const x = (ms: number) => Math.max(0, width - ((now - ms) / span) * width);
  const y = (value: number) => height - 1.5 - (value / most) * (height - 3);
  const last = points.at(-1)?.[1] ?? 0;
  const steps = [...points.map(([ms, value]) => `${x(ms).toFixed(1)},${y(value).toFixed(1)}`)];
  if (points.length) steps.push(`${width},${y(last).toFixed(1)}`);
  return (
    <svg class={`spark ${tone}`} viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img"
      aria-label={`outstanding lately: ${count(last)} now, ${count(most)} at most`}>
      <polyline points={steps.join(" ")} />
    </svg>
  );
}
