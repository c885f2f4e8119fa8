// One subscription: its verdict, its books, its partitions, its last attempts, and pause and resume.
import { useEffect } from "preact/hooks";
import { at, get, post } from "../api";
import { count, counted, millis, moment, pretty, rate, secondsSince, span } from "../format";
import {
  imbalance, type LagHistory, type LagRow, loaded, now, outstanding, pointsOf, rowOf, storedPoints, want,
} from "../lag";
import { type Attempt, type BlockingKey, type Subscription, target } from "../model";
import { Empty, Fault, Figure, Heading, Table, useLoaded } from "../parts/basics";
import { Heat, MINUTES, Split, Trend } from "../parts/chart";
import { Confirm } from "../parts/dialog";
import { State, toneOf } from "../parts/state";
import { go, link, query, setQuery } from "../router";
import { Balance } from "./board";

const PARTS: [key: string, label: string][] = [
  ["", "Overview"],
  ["attempts", "Attempts"],
  ["partitions", "Partitions"],
  ["definition", "Definition"],
];

function Figures({ row }: { row: LagRow }) {
  const age = secondsSince(row.oldestUndelivered, now.value);
  const tone = row.verdict.severity >= 3 ? toneOf(row.verdict.state) : "";
  return (
    <dl class="figures">
      <Figure label={row.oldestUndeliveredAccuracy === "exact" ? "Oldest, exact" : "Oldest, estimated"} tone={tone}>
        {age == null ? "–" : span(age)}
      </Figure>
      <Figure label="Waiting">{count(outstanding(row))}</Figure>
      <Figure label="In">{rate(row.arrivingPerSecond)}</Figure>
      <Figure label="Out">{rate(row.deliveredPerSecond)}</Figure>
      <Figure label="Drains in">
        {outstanding(row) === 0 || row.mode === "paused" ? "–" : row.drainSeconds == null ? "never" : span(row.drainSeconds)}
      </Figure>
      {row.retentionSeconds != null && row.unread > 0 && (
        <Figure label="Retention passes in">{span(row.retentionSeconds)}</Figure>
      )}
      {row.lost > 0 && (
        <Figure label="Lost to retention" tone="bad">
          {count(row.lost)}
        </Figure>
      )}
    </dl>
  );
}

const SPANS: [key: string, words: string, ms: number][] = [
  ["", "5 min", 5 * MINUTES],
  ["1h", "1 h", 60 * MINUTES],
  ["1d", "24 h", 1440 * MINUTES],
  ["14d", "14 d", 14 * 1440 * MINUTES],
];

/** Which time is looked at, out of the URL, and how to choose another. */
function useSpan(least: number) {
  const spans = SPANS.slice(least);
  const chosen = spans.find(([key]) => key === query.value.get("span")) ?? spans[0];
  const chips = (
    <div class="chips spaced" role="group" aria-label="Time">
      {spans.map(([key, words]) => (
        <button key={key} type="button" class="chip" aria-pressed={key === chosen[0]}
          onClick={() => setQuery({ span: key || undefined })}>
          {words}
        </button>
      ))}
    </div>
  );
  return { key: chosen[0], words: chosen[1], ms: chosen[2], chips };
}

/** The stored history of the last `ms`, again and again. */
function useHistory(name: string, ms: number, partitions: boolean) {
  return useLoaded(
    (signal) => {
      const from = new Date(Date.now() - ms).toISOString();
      return get<LagHistory>(at`/v1/lag/history?subscription=${name}&from=${from}&partitions=${String(partitions)}`, signal);
    },
    [name, ms, partitions],
    ms > 60 * MINUTES ? 60_000 : 10_000,
  );
}

function StoredTrend({ name, ms, words }: { name: string; ms: number; words: string }) {
  const stored = useHistory(name, ms, false);
  const series = stored.value?.subscriptions[0];
  return (
    <>
      <Fault error={stored.error} retry={stored.reload} />
      {stored.value && <Trend points={storedPoints(stored.value, series?.waiting ?? [])} now={now.value} span={ms} words={words} />}
    </>
  );
}

function History({ name }: { name: string }) {
  const span = useSpan(0);
  useEffect(() => want(name), [name]);
  return (
    <>
      {span.chips}
      {span.ms <= 60 * MINUTES ? (
        <Trend points={pointsOf(name)} now={now.value} span={span.ms} words={span.words} />
      ) : (
        <StoredTrend key={span.key} name={name} ms={span.ms} words={span.words} />
      )}
    </>
  );
}

function PartitionHistory({ name }: { name: string }) {
  const span = useSpan(1);
  const stored = useHistory(name, span.ms, true);
  return (
    <>
      {span.chips}
      <Fault error={stored.error} retry={stored.reload} />
      {stored.value && <Heat unread={stored.value.subscriptions[0]?.unread ?? []} words={span.words} />}
    </>
  );
}

function Overview({ row }: { row: LagRow }) {
  const { pending } = row;
  const off = imbalance(row);
  return (
    <>
      {row.blocked && <BlockingKeys row={row} blocked={row.blocked} />}
      <History name={row.name} />
      <h2>Waiting</h2>
      <Split label="Waiting" segments={[
          { key: "unread", label: "unread", value: row.unread },
          { key: "queued", label: "queued", value: pending.queued },
          { key: "inFlight", label: "in flight", value: pending.inFlight },
          { key: "retrying", label: "retrying", value: pending.retrying },
          { key: "scheduled", label: "scheduled for later", value: pending.scheduled },
        ]} />
      <h2>
        Books: {count(row.matched)} matched <Balance row={row} />
      </h2>
      <Split label="Matched" segments={[
          { key: "delivered", label: "delivered", value: row.delivered },
          { key: "deadLettered", label: "dead-lettered", value: row.deadLettered },
          { key: "cancelled", label: "cancelled", value: row.cancelled },
          { key: "queued", label: "pending", value: row.matched - row.delivered - row.deadLettered - row.cancelled },
        ]} />
      <p class="dim books">
        {off === 0
          ? "What matched is delivered, dead-lettered, cancelled or pending, by an independent count."
          : `An independent count differs by ${count(off)}: tell the operator.`}
        {row.deadLettered > 0 && (
          <>
            {" "}
            <a href={link(["dead-letters"], { subscription: row.name })}>See its dead letters</a>
          </>
        )}
      </p>
      <h2>Endpoint</h2>
      <dl class="facts">
        <dt>Last failure</dt>
        <dd>{row.lastFailure || (row.lastSuccess ? "none since the last success" : "none")}</dd>
        <dt>Failing since</dt>
        <dd>{moment(row.failingSince)}</dd>
        <dt>Last success</dt>
        <dd>{moment(row.lastSuccess)}</dd>
        {row.evaluationErrors.events > 0 && (
          <>
            <dt>Filters failed for</dt>
            <dd>
              {count(row.evaluationErrors.events)} events ({Object.keys(row.evaluationErrors.kinds).join(", ")})
            </dd>
          </>
        )}
      </dl>
    </>
  );
}

/** The keys of an ordered subscription that hold others back, as long as there are any. */
function BlockingKeys({ row, blocked }: { row: LagRow; blocked: { keys: number; waiting: number } }) {
  const list = useLoaded(
    (signal) => get<BlockingKey[]>(at`/v1/subscriptions/${row.name}/blocking-keys`, signal),
    [row.name],
    2000,
  );
  const keys = list.value ?? [];
  return (
    <section class="blocking" aria-labelledby="blocking">
      <h2 id="blocking">
        Blocking keys: {counted(blocked.keys, "key")} in the way of {counted(blocked.waiting, "event")}
      </h2>
      <Fault error={list.error} retry={list.reload} />
      {keys.length > 0 && (
        <Table label="Blocking keys"
          columns={["Key", ["Behind it", "num"], "Since", ["Tries", "num"], "Why", "Next attempt", "Its event"]}>
          {keys.map((key) => {
            const wait = key.nextAttempt ? (Date.parse(key.nextAttempt) - now.value) / 1000 : 0;
            return (
              <tr key={`${key.key} ${key.partition}:${key.offset}`}>
                <td class="mono">{key.key || "(empty)"}</td>
                <td class="num">{count(key.waiting)}</td>
                <td class="fit">{moment(key.since)}</td>
                <td class="num">{count(key.attempts)}</td>
                <td class="text">{key.cause ?? "no answer yet"}</td>
                <td class="fit">{key.nextAttempt == null ? "under way" : wait > 0 ? `in ${span(wait)}` : "due"}</td>
                <td class="fit">
                  <a href={link(["find"], { topic: row.topic, partition: key.partition, offset: key.offset })}>
                    See {key.partition}:{key.offset}
                  </a>
                </td>
              </tr>
            );
          })}
        </Table>
      )}
      {blocked.keys > keys.length && keys.length > 0 && (
        <p class="dim">The {count(keys.length)} with the most behind them, of {count(blocked.keys)}.</p>
      )}
    </section>
  );
}

function Partitions({ row }: { row: LagRow }) {
  const most = Math.max(1, ...row.partitions.map((partition) => partition.lag));
  const total = row.partitions.reduce((sum, partition) => sum + partition.lag, 0);
  const worst = row.partitions.find((partition) => partition.lag === most);
  return (
    <>
      {worst && row.partitions.length > 1 && worst.lag > 0.8 * total && total >= 10 && (
        <p class="note">
          Partition {worst.partition} holds {Math.round((worst.lag / total) * 100)} % of what is unread: one key may
          carry most of the events.
        </p>
      )}
      <Table label="Partitions"
        columns={[["Partition", "num"], ["Next to read", "num"], ["End of log", "num"], ["Unread", "num"], ["Share", "grow"]]}>
        {row.partitions.map((partition) => (
          <tr key={partition.partition}>
            <td class="num">{partition.partition}</td>
            <td class="num">{count(partition.next)}</td>
            <td class="num">{count(partition.end)}</td>
            <td class="num">{count(partition.lag)}</td>
            <td class="grow">
              <div class="meter" aria-hidden="true">
                <span style={{ width: `${(partition.lag / most) * 100}%` }} />
              </div>
            </td>
          </tr>
        ))}
      </Table>
      <h2>Over time</h2>
      <PartitionHistory name={row.name} />
    </>
  );
}

function quantile(sorted: number[], share: number): number | null {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] : null;
}

const SHORT = 80; // characters of an answer that are shown without asking

/** The beginning of an endpoint's answer. */
function Said({ text }: { text: string }) {
  const line = text.trim().replace(/\s+/g, " ");
  if (line.length <= SHORT) return <span class="dim"> “{line}”</span>;
  return (
    <details>
      <summary>
        “{line.slice(0, SHORT)}…”
      </summary>
      <pre>{text}</pre>
    </details>
  );
}

const OUTCOMES = ["", "delivered", "retry", "dead-lettered"];

function Attempts({ name, topic }: { name: string; topic: string }) {
  const outcome = query.value.get("outcome") ?? "";
  const list = useLoaded(
    (signal) => get<Attempt[]>(at`/v1/subscriptions/${name}/deliveries?limit=50` +
          (outcome ? at`&status=${outcome}` : ""), signal),
    [name, outcome],
    3000,
  );
  const attempts = list.value ?? [];
  const latencies = attempts.map((attempt) => attempt.latencyMs).sort((a, b) => a - b);
  return (
    <>
      <div class="actions spaced">
        <div class="chips" role="group" aria-label="Outcome">
          {OUTCOMES.map((one) => (
            <button key={one} type="button" class="chip" aria-pressed={outcome === one}
              onClick={() => setQuery({ outcome: one || undefined })}>
              {one || "all"}
            </button>
          ))}
        </div>
        {attempts.length > 0 && (
          <span class="dim">
            of the last {count(attempts.length)}: median {millis(quantile(latencies, 0.5))}, 95 % within{" "}
            {millis(quantile(latencies, 0.95))}
          </span>
        )}
      </div>
      <Fault error={list.error} retry={list.reload} />
      {list.value && attempts.length === 0 && (
        <Empty>No attempt is kept. Failures are kept for 72 h, other attempts as the subscription’s history says.</Empty>
      )}
      {attempts.length > 0 && (
        <Table label="Attempts"
          columns={["Time", "Outcome", ["Status", "num"], ["Took", "num"], ["Try", "num"], "Event", "What was said"]}>
          {attempts.map((attempt) => {
            const key = `${attempt.partition}:${attempt.offset}:${attempt.attempt}:${attempt.time}`;
            return (
              <tr key={key}>
                <td class="fit">{moment(attempt.time)}</td>
                <td>
                  <State state={attempt.outcome} />
                </td>
                <td class="num">{attempt.status || "–"}</td>
                <td class="num">{millis(attempt.latencyMs)}</td>
                <td class="num">{attempt.attempt}</td>
                <td class="fit">
                  <a href={link(["find"], { topic, partition: attempt.partition, offset: attempt.offset })}>
                    {attempt.partition}:{attempt.offset}
                  </a>
                </td>
                <td class="text">
                  {attempt.message}
                  {attempt.answer && <Said text={attempt.answer} />}
                </td>
              </tr>
            );
          })}
        </Table>
      )}
    </>
  );
}

function PauseResume({ row, disabled, changed }: { row: LagRow; disabled: boolean; changed: () => void }) {
  const stands = row.mode === "paused" || disabled;
  const verb = stands ? "resume" : "pause";
  const asking = query.value.get("part") === "resume" || query.value.get("ask") === verb;
  const close = () => go(["subscriptions", row.name]);
  return (
    <>
      <button type="button" onClick={() => setQuery({ ask: verb })}>
        {stands ? "Resume…" : "Pause…"}
      </button>
      {asking && (stands || query.value.get("ask")) && (
        <Confirm title={stands ? `Resume ${row.name}?` : `Pause ${row.name}?`} word={stands ? "Resume" : "Pause"}
          command={`dispatch ${verb} ${row.name}`} close={close}
          act={async () => {
            await post(at`/v1/subscriptions/${row.name}/` + verb);
            changed();
          }}>
          {stands ? (
            <p>
              It goes on where it stopped: {count(row.unread)} unread events are delivered, the oldest first, beside
              live ones.
            </p>
          ) : (
            <p>
              Its events wait in the topic until it is resumed; nothing is lost before retention passes them.
              {" "}{count(row.pending.queued + row.pending.inFlight + row.pending.retrying)} that are under way are still
              delivered.
            </p>
          )}
        </Confirm>
      )}
    </>
  );
}

export function SubscriptionView({ name }: { name: string }) {
  const part = query.value.get("part") ?? "";
  const row = rowOf(name);
  const object = useLoaded(
    (signal) => get<Subscription>(at`/v1/subscriptions/${name}`, signal),
    [name],
  );
  const definition = object.value && Object.fromEntries(Object.entries(object.value).filter(([key]) => key !== "statistics"));
  return (
    <>
      <Heading title={name} above={<a href={link([])}>Lag</a>}>
        {row && <PauseResume row={row} disabled={object.value?.status === "ERROR"} changed={object.reload} />}
      </Heading>
      <Fault error={object.error} retry={object.reload} />
      {object.value && (
        <p class="dim route">
          <a href={link(["topics", object.value.topic ?? "default"])}>{object.value.topic ?? "default"}</a>
          <span aria-hidden="true"> → </span>
          <span class="mono">{target(object.value)}</span>
        </p>
      )}
      {!row && loaded.value && !object.error && <Empty>Its figures have not come yet.</Empty>}
      {row && (
        <>
          <div class={`verdict ${toneOf(row.verdict.state)}`}>
            <State state={row.verdict.state} />
            <p>
              {row.verdict.text}
              {row.verdict.since && <span class="dim"> · since {moment(row.verdict.since)}</span>}
            </p>
          </div>
          <Figures row={row} />
          <nav class="tabs" aria-label="Parts">
            {PARTS.map(([key, label]) => (
              <a key={key} href={link(["subscriptions", name], { part: key })}
                aria-current={part === key || (key === "" && part === "resume") ? "page" : undefined}>
                {label}
              </a>
            ))}
          </nav>
          {(part === "" || part === "resume") && <Overview row={row} />}
          {part === "attempts" && <Attempts name={name} topic={row.topic} />}
          {part === "partitions" && <Partitions row={row} />}
          {part === "definition" && definition && <pre>{pretty(definition)}</pre>}
        </>
      )}
    </>
  );
}
