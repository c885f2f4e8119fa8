import { count } from "../format";
import type { Point } from "../lag";

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
  const [width, height, span] = [600, 90, 5 * 60_000];
  const most = Math.max(1, ...points.map((point) => point[1]));
  const x = (ms: number) => Math.max(0, width - ((now - ms) / span) * width);
  const y = (value: number) => height - 2 - (value / most) * (height - 14);
  const line = points.map(([ms, value]) => `${x(ms).toFixed(1)},${y(value).toFixed(1)}`);
  if (points.length) line.push(`${width},${y(points.at(-1)![1]).toFixed(1)}`);
  const first = points.length ? x(points[0][0]).toFixed(1) : width;
  return (
    <figure class="trend">
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img"
        aria-label={`waiting over the last five minutes: ${count(points.at(-1)?.[1] ?? 0)} now, ${count(most)} at most`}>
        <line x1="0" x2={width} y1={y(most)} y2={y(most)} class="grid" />
        <line x1="0" x2={width} y1={y(0)} y2={y(0)} class="grid" />
        {line.length > 0 && <polygon points={`${first},${y(0)} ${line.join(" ")} ${width},${y(0)}`} />}
        <polyline points={line.join(" ")} />
      </svg>
      <figcaption>
        <span>5 min ago</span>
        <span>waiting, {count(most)} at most</span>
        <span>now</span>
      </figcaption>
    </figure>
  );
}
