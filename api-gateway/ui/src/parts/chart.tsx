import { count } from "../format";
import type { Point } from "../lag";

export const MINUTES = 60_000; // milliseconds

/** Where points of the last `span` ms are in a box; `most` is as high as `top`, zero `bottom`. */
function place(points: Point[], now: number, span: number, width: number, top: number, bottom: number) {
  const most = Math.max(1, ...points.map((point) => point[1] ?? 0));
  const last = points.at(-1)?.[1] ?? 0;
  const x = (ms: number) => (width - ((now - ms) / span) * width).toFixed(1);
  const y = (value: number) => (bottom - (value / most) * (bottom - top)).toFixed(1);
  const runs: { line: string[]; first: string; last: string }[] = [];
  let open = false;
  for (const [ms, value] of points) {
    if (value == null) {
      open = false;
      continue;
    }
    if (!open) runs.push({ line: [], first: x(ms), last: "" });
    const run = runs.at(-1)!;
    run.line.push(`${x(ms)},${y(value)}`);
    run.last = x(ms);
    open = true;
  }
  if (open) {
    runs.at(-1)!.line.push(`${width},${y(last)}`);
    runs.at(-1)!.last = String(width);
  }
  return { most, last, runs };
}

/** Those of the last `span` ms, and where the line comes from. */
function within(points: Point[], now: number, span: number): Point[] {
  const first = points.findIndex(([ms]) => ms >= now - span);
  if (first < 0) return points.slice(-1).map(([, value]) => [now - span, value]);
  const before = first > 0 ? points[first - 1][1] : null;
  return before == null ? points.slice(first) : [[now - span, before], ...points.slice(first)];
}

/** A line of what was outstanding, over the last hour; its height is its own greatest value. */
export function Spark({ points, now, tone }: { points: Point[]; now: number; tone: string }) {
  const [width, height] = [88, 22];
  const span = 60 * MINUTES;
  const { most, last, runs } = place(within(points, now, span), now, span, width, 1.5, height - 1.5);
  return (
    <svg class={`spark ${tone}`} viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img"
      aria-label={`outstanding in the last hour: ${count(last)} now, ${count(most)} at most`}>
      {runs.map((run, i) => <polyline key={i} points={run.line.join(" ")} />)}
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

/** What was outstanding over a time; gaps where nobody looked. `words`: "5 min". */
export function Trend(props: { points: Point[]; now: number; span: number; words: string }) {
  const [width, top, bottom, height] = [600, 12, 88, 90];
  const points = within(props.points, props.now, props.span);
  const { most, last, runs } = place(points, props.now, props.span, width, top, bottom);
  return (
    <figure class="trend">
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img"
        aria-label={`waiting over the last ${props.words}: ${count(last)} now, ${count(most)} at most`}>
        <line x1="0" x2={width} y1={top} y2={top} class="grid" />
        <line x1="0" x2={width} y1={bottom} y2={bottom} class="grid" />
        {runs.map((run, i) => (
          <g key={i}>
            <polygon points={`${run.first},${bottom} ${run.line.join(" ")} ${run.last},${bottom}`} />
            <polyline points={run.line.join(" ")} />
          </g>
        ))}
      </svg>
      <figcaption>
        <span>{props.words} ago</span>
        <span>waiting, {count(most)} at most</span>
        <span>now</span>
      </figcaption>
    </figure>
  );
}

const SHADES = 4;
const MOST_ROWS = 64;

/** How much was unread in each partition over a time: a row a partition, the darker the more. */
export function Heat({ unread, words }: { unread: (number | null)[][]; words: string }) {
  const rows = unread.slice(0, MOST_ROWS);
  const columns = Math.max(1, ...rows.map((row) => row.length));
  const most = Math.max(0, ...rows.flatMap((row) => row.map((value) => value ?? 0)));
  const height = Math.max(4, Math.min(18, Math.floor(320 / Math.max(1, rows.length))));
  const shade = (value: number | null) => (value == null ? "gap" : value && Math.ceil((value / most) * SHADES));
  // Neighbours of a shade are one.
  const runs = (row: (number | null)[]) => {
    const found: { from: number; to: number; shade: number | string }[] = [];
    row.forEach((value, i) => {
      const last = found.at(-1);
      if (last && last.shade === shade(value)) last.to = i + 1;
      else found.push({ from: i, to: i + 1, shade: shade(value) });
    });
    return found.filter((run) => run.shade !== 0);
  };
  return (
    <figure class="trend heat">
      {rows.map((row, partition) => {
        const top = Math.max(0, ...row.map((value) => value ?? 0));
        const last = row.findLast((value) => value != null);
        return (
          <div key={partition} class="heat-row">
            <span class="num dim" aria-hidden="true">{partition}</span>
            <svg viewBox={`0 0 ${columns} 1`} preserveAspectRatio="none" role="img" style={{ height: `${height}px` }}
              aria-label={`partition ${partition}: ${count(last ?? 0)} unread lately, ${count(top)} at most`}>
              <title>{`partition ${partition}: ${count(top)} unread at most`}</title>
              {runs(row).map((run) => (
                <rect key={run.from} class={`shade-${run.shade}`} x={run.from} y="0" width={run.to - run.from} height="1" />
              ))}
            </svg>
          </div>
        );
      })}
      <figcaption>
        <span>{words} ago</span>
        <span>unread by partition, {count(most)} at most; the darker the more</span>
        <span>now</span>
      </figcaption>
    </figure>
  );
}
