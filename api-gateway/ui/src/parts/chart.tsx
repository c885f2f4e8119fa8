import { count } from "../format";
import type { Point } from "../lag";

const SPAN = 5 * 60_000; // of a chart, in milliseconds

/** Where points of the last five minutes are in a box; `most` is as high as `top`, zero `bottom`. */
function place(points: Point[], now: number, width: number, top: number, bottom: number) {
  const most = Math.max(1, ...points.map((point) => point[1]));
  const last = points.at(-1)?.[1] ?? 0;
  const x = (ms: number) => Math.max(0, width - ((now - ms) / SPAN) * width).toFixed(1);
  const y = (value: number) => (bottom - (value / most) * (bottom - top)).toFixed(1);
  const line = points.map(([ms, value]) => `${x(ms)},${y(value)}`);
  if (points.length) line.push(`${width},${y(last)}`);
  return { most, last, line: line.join(" "), first: points.length ? x(points[0][0]) : width };
}

/** A line of what was outstanding, over the last minutes; its height is its own greatest value. */
export function Spark({ points, now, tone }: { points: Point[]; now: number; tone: string }) {
  const [width, height] = [88, 22];
  const { most, last, line } = place(points, now, width, 1.5, height - 1.5);
  return (
    <svg class={`spark ${tone}`} viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img"
      aria-label={`outstanding lately: ${count(last)} now, ${count(most)} at most`}>
      <polyline points={line} />
    </svg>
  );
}

export interface Segment {
  key: string; // of a colour in the style sheet: k-<key>
  label: string;
  value: number;
}

/** A bar of parts, and what each is. */
export function Split({ segments, label }: { segments: Segment[]; label: string }) {
  const total = segments.reduce((sum, segment) => sum + segment.value, 0);
  const text = segments.map((segment) => `${segment.label} ${count(segment.value)}`).join(", ");
  return (
    <div>
      <div class="split" role="img" aria-label={`${label}: ${text}`}>
        {total > 0 &&
          segments.map(({ key, value }) =>
            value > 0 ? <span key={key} class={`k-${key}`} style={{ flexGrow: value }} /> : null,
          )}
      </div>
      <ul class="legend">
        {segments.map(({ key, label, value }) => (
          <li key={key}>
            <i class={`k-${key}`} aria-hidden="true" />
            {label} <b>{count(value)}</b>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** What was outstanding over the last five minutes, as far as this page saw it. */
export function Trend({ points, now }: { points: Point[]; now: number }) {
  const [width, top, bottom, height] = [600, 12, 88, 90];
  const { most, last, line, first } = place(points, now, width, top, bottom);
  return (
    <figure class="trend">
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img"
        aria-label={`waiting over the last five minutes: ${count(last)} now, ${count(most)} at most`}>
        <line x1="0" x2={width} y1={top} y2={top} class="grid" />
        <line x1="0" x2={width} y1={bottom} y2={bottom} class="grid" />
        {line && <polygon points={`${first},${bottom} ${line} ${width},${bottom}`} />}
        <polyline points={line} />
      </svg>
      <figcaption>
        <span>5 min ago</span>
        <span>waiting, {count(most)} at most</span>
        <span>now</span>
      </figcaption>
    </figure>
  );
}
