// Filter lab: what a filter would match of the last events of a topic. Makes nothing.
import { useSignal } from "@preact/signals";
import { ApiError, request } from "../api";
import { count, moment, pretty } from "../format";
import { lagTopics } from "../lag";
import type { Browsed } from "../model";
import { Empty, Fault, Figure, Heading, useAct } from "../parts/basics";
import { link, query, setQuery } from "../router";

interface DryRun {
  complete: boolean;
  scanned: number;
  matched: number;
  notCloudEvents: number;
  oldest?: string;
  newest?: string;
  evaluationErrors: { events: number; kinds: Record<string, number> };
  examples: Browsed[];
}

/** CESQL, or filters in JSON as a subscription has them. */
function parse(text: string): unknown[] {
  const trimmed = text.trim();
  if (!trimmed.startsWith("[") && !trimmed.startsWith("{")) return [{ sql: trimmed }];
  try {
    const parsed = JSON.parse(trimmed);
    return Array.isArray(parsed) ? parsed : [parsed];
  } catch {
    throw new ApiError(400, "This begins as JSON and is none: check quotes and commas, or write CESQL.");
  }
}

function perDay(run: DryRun): number | null {
  if (!run.oldest || !run.newest || run.scanned < 2) return null;
  const seconds = (Date.parse(run.newest) - Date.parse(run.oldest)) / 1000;
  return seconds > 1 ? (run.matched / seconds) * 86_400 : null;
}

function Result({ run, topic }: { run: DryRun; topic: string }) {
  const share = run.scanned ? (run.matched / run.scanned) * 100 : 0;
  const day = perDay(run);
  const errors = run.evaluationErrors;
  return (
    <>
      <dl class="figures">
        <Figure label="Matched">{count(run.matched)}</Figure>
        <Figure label="Missed">{count(run.scanned - run.matched)}</Figure>
        <Figure label="Of those looked at">{share.toFixed(1)} %</Figure>
        <Figure label="A day, at that pace">{day == null ? "–" : count(Math.round(day))}</Figure>
        <Figure label="Errors" tone={errors.events ? "warn" : ""}>{count(errors.events)}</Figure>
      </dl>
      <p class="dim">
        {count(run.scanned)} events looked at{run.oldest && `, from ${moment(run.oldest)} to ${moment(run.newest)}`}
        {!run.complete && "; there was not time for the whole sample"}
        {run.notCloudEvents > 0 && `; ${count(run.notCloudEvents)} records are no CloudEvents`}.
      </p>
      {errors.events > 0 && (
        <p class="note">
          The expression ended with an error, which is “no”, for {count(errors.events)} events:{" "}
          {Object.entries(errors.kinds).map(([kind, events]) => `${kind} ${count(events)}`).join(", ")}.
        </p>
      )}
      {run.examples.length > 0 && <h2>The newest that match</h2>}
      {run.examples.map((example) => (
        <details key={`${example.partition}:${example.offset}`} class="payload">
          <summary>
            {moment(example.time)} · <span class="mono">{example.event?.type}</span> ·{" "}
            <span class="mono">{example.event?.id}</span>
          </summary>
          <pre>{pretty(example.event)}</pre>
          <a href={link(["find"], { topic, partition: example.partition, offset: example.offset })}>Its deliveries</a>
        </details>
      ))}
    </>
  );
}

export function FilterLab() {
  const topic = useSignal(query.value.get("topic") ?? "default");
  const text = useSignal(query.value.get("sql") ?? "type LIKE '%'");
  const samples = useSignal(query.value.get("sample") ?? "1000");
  const result = useSignal<DryRun | null>(null);
  const running = useAct();
  const submit = (event: Event) => {
    event.preventDefault();
    setQuery({ topic: topic.value, sql: text.value, sample: samples.value });
    running.run(async () => {
      result.value = null;
      const body = {
        name: "filter-lab",
        topic: topic.value,
        filters: parse(text.value),
        sink: { url: "http://localhost/" },
      };
      const path = `/v1/subscriptions?dryRun=true&sample=${encodeURIComponent(samples.value)}`;
      result.value = (await request<DryRun>(path, { method: "POST", body })).body;
    });
  };
  return (
    <>
      <Heading title="Filter lab" />
      <form class="fields" onSubmit={submit}>
        <label>
          Topic
          <input type="text" list="topics" required spellcheck={false} value={topic.value}
            onInput={(event) => (topic.value = event.currentTarget.value)} />
          <datalist id="topics">
            {lagTopics.value.map(({ name }) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </label>
        <label>
          Against the last
          <select value={samples.value} onChange={(event) => (samples.value = event.currentTarget.value)}>
            {["100", "1000", "10000"].map((one) => (
              <option key={one} value={one}>
                {count(Number(one))} events
              </option>
            ))}
          </select>
        </label>
        <label class="wide">
          Filter <span class="dim">CESQL, or JSON: exact, prefix, suffix, all, any, not, sql, data</span>
          <textarea rows={4} required spellcheck={false} value={text.value}
            onInput={(event) => (text.value = event.currentTarget.value)} />
        </label>
        <div class="wide">
          <button type="submit" class="primary" disabled={running.busy}>
            {running.busy ? "Reading…" : "Try it"}
          </button>
        </div>
      </form>
      <Fault error={running.error} />
      {result.value ? (
        <Result run={result.value} topic={topic.value} />
      ) : (
        !running.busy && !running.error && <Empty>Nothing is made: a dry run tells what a subscription would have matched.</Empty>
      )}
    </>
  );
}
