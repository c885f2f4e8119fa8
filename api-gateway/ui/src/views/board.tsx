// The lag board: one row for each subscription, the one in most pain first.
import { computed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { count, counted, moment, rate, secondsSince, span } from "../format";
import { broken, imbalance, type LagRow, lagRows, loaded, now, outstanding, pointsOf, trueUntil, want } from "../lag";
import { Empty, Heading } from "../parts/basics";
import { VirtualRows } from "../parts/rows";
import { Spark } from "../parts/chart";
import { State, toneOf, wordOf } from "../parts/state";
import { link, query, setQuery } from "../router";

const SORTS: Record<string, (a: LagRow, b: LagRow) => number> = {
  pain: (a, b) =>
    b.verdict.severity - a.verdict.severity || byAge(a, b) || outstanding(b) - outstanding(a),
  age: (a, b) => byAge(a, b) || outstanding(b) - outstanding(a),
  waiting: (a, b) => outstanding(b) - outstanding(a),
  in: (a, b) => b.arrivingPerSecond - a.arrivingPerSecond,
  out: (a, b) => b.deliveredPerSecond - a.deliveredPerSecond,
  name: () => 0,
};

// The older first; nothing outstanding last.
function byAge(a: LagRow, b: LagRow): number {
  const time = (row: LagRow) => (row.oldestUndelivered ? Date.parse(row.oldestUndelivered) : Infinity);
  const [ta, tb] = [time(a), time(b)];
  return ta === tb ? 0 : ta - tb;
}

const shown = computed(() => {
  const text = (query.value.get("q") ?? "").toLowerCase();
  const state = query.value.get("state") ?? "";
  const sort = SORTS[query.value.get("sort") ?? "pain"] ?? SORTS.pain;
  return lagRows.value
    .filter((row) => !state || row.verdict.state === state)
    .filter((row) => !text || `${row.name}\n${row.topic}\n${row.verdict.text}`.toLowerCase().includes(text))
    .sort((a, b) => sort(a, b) || (a.name < b.name ? -1 : 1));
});

const states = computed(() => {
  const found = new Map<string, { severity: number; rows: number }>();
  for (const { verdict } of lagRows.value) {
    const known = found.get(verdict.state) ?? { severity: verdict.severity, rows: 0 };
    known.rows++;
    found.set(verdict.state, known);
  }
  return [...found].sort((a, b) => b[1].severity - a[1].severity);
});

const totals = computed(() => {
  const sum = { waiting: 0, in: 0, out: 0, sick: 0 };
  for (const row of lagRows.value) {
    sum.waiting += outstanding(row);
    sum.in += row.arrivingPerSecond;
    sum.out += row.deliveredPerSecond;
    if (row.verdict.severity >= 3) sum.sick++;
  }
  return sum;
});

/** What a reader would do about it next. */
export function nextStep(row: LagRow): { word: string; href: string } {
  const here = (part: string) => link(["subscriptions", row.name], { part });
  switch (row.verdict.state) {
    case "PAUSED":
    case "DISABLED":
      return { word: "Resume…", href: here("resume") };
    case "FAILING":
    case "STALLED":
      if (row.blocked) return { word: "See keys", href: here("") };
      return { word: "See attempts", href: here("attempts") };
    case "STOPPED":
      return { word: "See services", href: link(["services"]) };
    case "SLOW":
    case "BUSY":
      return { word: "See latency", href: here("attempts") };
    case "SKEWED":
    case "RETENTION_RISK":
    case "LOSING":
      return { word: "See partitions", href: here("partitions") };
  }
  if (row.deadLettered > 0) {
    return { word: "Dead letters", href: link(["dead-letters"], { subscription: row.name }) };
  }
  return { word: "Open", href: here("") };
}

/** `matched = delivered + dead-lettered + cancelled + pending`, or how far it is off. */
export function Balance({ row }: { row: LagRow }) {
  const off = imbalance(row);
  const sum =
    `${count(row.matched)} matched = ${count(row.delivered)} delivered + ${count(row.deadLettered)} dead-lettered + ` +
    `${count(row.cancelled)} cancelled + the pending`;
  return off === 0 ? (
    <span class="balance good" title={`Every event is accounted for: ${sum}`}>
      ✓<span class="hidden"> balanced</span>
    </span>
  ) : (
    <span class="balance bad" title={`The books do not balance by ${off}: ${sum}`}>
      ≠ {count(off)}
    </span>
  );
}

function drain(row: LagRow): string {
  if (outstanding(row) === 0 || row.mode === "paused") return "–";
  return row.drainSeconds == null ? "never" : span(row.drainSeconds);
}

function Row({ row }: { row: LagRow }) {
  useEffect(() => want(row.name), [row.name]);
  const age = secondsSince(row.oldestUndelivered, now.value);
  const step = nextStep(row);
  const estimated = row.oldestUndeliveredAccuracy === "estimated";
  return (
    <>
      <div role="cell" class="c-state">
        <State state={row.verdict.state} />
      </div>
      <div role="cell" class="c-name">
        <a href={link(["subscriptions", row.name])}>{row.name}</a>
        <span class="dim">{row.topic}</span>
      </div>
      <div role="cell" class="c-verdict" title={row.verdict.text}>
        <span>{row.verdict.text}</span>
      </div>
      <div role="cell" class={`c-age num ${age == null ? "none" : ""} ${row.verdict.severity >= 3 ? toneOf(row.verdict.state) : ""}`}
        title={age == null ? "nothing is outstanding" : `${estimated ? "estimated" : "exact"}: since ${row.oldestUndelivered}`}>
        {age == null ? "–" : `${estimated ? "≈ " : ""}${span(age)}`}
      </div>
      <div role="cell" class={`c-waiting num ${outstanding(row) ? "" : "none"}`}>{count(outstanding(row))}</div>
      <div role="cell" class={`c-in num ${row.arrivingPerSecond ? "" : "none"}`}>{rate(row.arrivingPerSecond)}</div>
      <div role="cell" class={`c-out num ${row.deliveredPerSecond ? "" : "none"}`}>{rate(row.deliveredPerSecond)}</div>
      <div role="cell" class="c-drain num">{drain(row)}</div>
      <div role="cell" class="c-spark">
        <Spark points={pointsOf(row.name)} now={now.value} tone={toneOf(row.verdict.state)} />
      </div>
      <div role="cell" class="c-balance">
        <Balance row={row} />
      </div>
      <div role="cell" class="c-step">
        <a href={step.href} aria-label={`${step.word}: ${row.name}`}>{step.word}</a>
      </div>
    </>
  );
}

const COLUMNS: [key: string, label: string, sort: string, title?: string][] = [
  ["state", "Verdict", "pain", "Worst first"],
  ["name", "Subscription", "name"],
  ["verdict", "Why", ""],
  ["age", "Oldest", "age", "Age of the oldest event that is not delivered"],
  ["waiting", "Waiting", "waiting", "Unread, queued, in flight and retrying"],
  ["in", "In", "in", "Events that arrive"],
  ["out", "Out", "out", "Events that are settled"],
  ["drain", "Drains in", "", "Until nothing waits, as things go"],
  ["spark", "1 h", "", "What was waiting in the last hour"],
  ["balance", "Books", "", "Whether matched = delivered + dead-lettered + cancelled + pending"],
  ["step", "Next", ""],
];

function Head() {
  const sorted = query.value.get("sort") ?? "pain";
  return (
    <div role="rowgroup" class="rows-head">
      <div role="row" class="row head" aria-rowindex={1}>
        {COLUMNS.map(([key, label, sort, title]) => (
          <div key={key} role="columnheader" class={`c-${key}`} title={title}
            aria-sort={sort && sorted === sort ? (sort === "name" ? "ascending" : "descending") : undefined}>
            {sort ? (
              <button type="button" class={sorted === sort ? "sorted" : ""}
                onClick={() => setQuery({ sort: sort === "pain" ? undefined : sort })}>
                {label}
              </button>
            ) : (
              label
            )}
          </div>
        ))}
      </div>
    </div>
  );
}

function Filters() {
  const field = useRef<HTMLInputElement>(null);
  const chosen = query.value.get("state") ?? "";
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing = (event.target as HTMLElement).closest("input, textarea, select");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      field.current?.focus();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  const chip = (state: string, label: string, rows: number) => (
    <button key={state} type="button" class={`chip ${state ? toneOf(state) : ""}`} aria-pressed={chosen === state}
      onClick={() => setQuery({ state: chosen === state ? undefined : state })}>
      {label} <b>{count(rows)}</b>
    </button>
  );
  return (
    <div class="filters">
      <input ref={field} type="search" placeholder="Filter by name, topic or cause" aria-label="Filter subscriptions"
        aria-keyshortcuts="/" value={query.value.get("q") ?? ""}
        onInput={(event) => setQuery({ q: event.currentTarget.value })} />
      <div class="chips" role="group" aria-label="Verdicts">
        {chip("", "All", lagRows.value.length)}
        {states.value.map(([state, { rows }]) => chip(state, wordOf(state), rows))}
      </div>
    </div>
  );
}

const NARROW = matchMedia("(max-width: 760px)");

export function Board() {
  const narrow = useSignal(NARROW.matches);
  useEffect(() => {
    const look = () => (narrow.value = NARROW.matches);
    NARROW.addEventListener("change", look);
    return () => NARROW.removeEventListener("change", look);
  }, []);
  const sum = totals.value;
  const all = lagRows.value.length;
  return (
    <>
      <Heading title="Lag" />
      {!loaded.value ? (
        <Empty>Looking…</Empty>
      ) : all === 0 ? (
        <Empty>
          There is no subscription yet. Make one with <code>dispatch create subscription</code>; it shows here within a second.
        </Empty>
      ) : (
        <>
          <p class="summary" aria-live="polite">
            {broken.value ? (
              <strong class="warn">As of {moment(trueUntil.value)}</strong>
            ) : sum.sick === 0 ? (
              <strong class="good">{all === 1 ? "The subscription is well" : `All ${count(all)} subscriptions are well`}</strong>
            ) : (
              <strong class="bad">
                {count(sum.sick)} of {counted(all, "subscription")} {sum.sick === 1 ? "needs" : "need"} attention
              </strong>
            )}
            <span>
              <b>{count(sum.waiting)}</b> waiting
            </span>
            <span>
              <b>{rate(sum.in)}</b> in
            </span>
            <span>
              <b>{rate(sum.out)}</b> out
            </span>
          </p>
          <Filters />
          <div class="board">
            <VirtualRows items={shown.value} keyOf={(row) => row.name} height={narrow.value ? 104 : 48}
              label="Subscriptions" columns={COLUMNS.length} head={<Head />} row={(row) => <Row row={row} />} />
          </div>
          {shown.value.length === 0 && <Empty>No subscription fits these filters.</Empty>}
        </>
      )}
    </>
  );
}
