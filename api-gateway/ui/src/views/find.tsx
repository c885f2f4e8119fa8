// Where is my event: found by id or position, then every subscription's attempts on one time axis.
import { useSignal } from "@preact/signals";
import { at, get } from "../api";
import { count, counted, millis, moment, pretty } from "../format";
import { lagTopics } from "../lag";
import type { Attempt, Browsed } from "../model";
import { Empty, Fault, Heading, Table, useLoaded } from "../parts/basics";
import { State, toneOf } from "../parts/state";
import { go, link, query } from "../router";

interface Found {
  id: string;
  found: { topic: string; partition: number; offset: number; time: string; source?: string; type?: string; subject?: string }[];
  complete: boolean;
}

interface Delivery {
  subscription: string;
  status: string;
  reason?: string;
  message?: string;
  nextAttempt?: string;
  deadLetteredTime?: string;
  attempts: Attempt[];
}

function Search() {
  const topic = useSignal(query.value.get("topic") ?? "");
  const what = useSignal(
    query.value.get("id") ??
      (query.value.has("partition") ? `${query.value.get("partition")}:${query.value.get("offset")}` : ""),
  );
  const submit = (event: Event) => {
    event.preventDefault();
    const position = /^(\d+):(\d+)$/.exec(what.value.trim());
    if (position && topic.value) {
      go(["find"], { topic: topic.value, partition: position[1], offset: position[2] });
    } else {
      go(["find"], { topic: topic.value, id: what.value.trim() });
    }
  };
  return (
    <form class="fields" onSubmit={submit}>
      <label>
        Event id, or partition:offset
        <input type="search" required spellcheck={false} autocomplete="off" value={what.value} placeholder="A234-1234-1234, or 3:1042"
          onInput={(event) => (what.value = event.currentTarget.value)} />
      </label>
      <label>
        Topic <span class="dim">all without it</span>
        <input type="text" list="topics" spellcheck={false} autocomplete="off" value={topic.value}
          onInput={(event) => (topic.value = event.currentTarget.value)} />
        <datalist id="topics">
          {lagTopics.value.map(({ name }) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </label>
      <div>
        <button type="submit" class="primary">
          Find
        </button>
      </div>
    </form>
  );
}

function ById({ id, topic }: { id: string; topic: string }) {
  const result = useLoaded(
    async (signal) => {
      const found = await get<Found>(at`/v1/events/${id}` + (topic ? at`?topic=${topic}` : ""), signal);
      return found;
    },
    [id, topic],
  );
  if (result.busy) return <Empty>Reading backwards through the topics…</Empty>;
  if (result.error || !result.value) return <Fault error={result.error} retry={result.reload} />;
  const { found, complete } = result.value;
  if (found.length === 0) {
    return (
      <Empty>
        {complete
          ? "No event with this id is kept."
          : "Not found among the newest; there was not time to read further back. Name its topic, or its position."}
      </Empty>
    );
  }
  return (
    <>
      {found.length > 1 && <p class="note">{counted(found.length, "event")} have this id.</p>}
      {found.map((one) => (
        <Position key={`${one.topic}:${one.partition}:${one.offset}`} {...one} />
      ))}
    </>
  );
}

/** From when to when the axis goes, and where a moment is on it, in percent. */
function axis(start: number, deliveries: Delivery[]) {
  let end = start + 10;
  for (const delivery of deliveries) {
    for (const attempt of delivery.attempts) end = Math.max(end, Date.parse(attempt.time) + attempt.latencyMs);
    if (delivery.nextAttempt) end = Math.max(end, Date.parse(delivery.nextAttempt));
  }
  return { end, percent: (ms: number) => Math.min(100, Math.max(0, ((ms - start) / (end - start)) * 100)) };
}

function Fall({ delivery, start, percent }: { delivery: Delivery; start: number; percent: (ms: number) => number }) {
  return (
    <div class="fall" role="img" aria-label={counted(delivery.attempts.length, "attempt")}>
      {delivery.attempts.map((attempt) => {
        const from = percent(Date.parse(attempt.time));
        const to = percent(Date.parse(attempt.time) + attempt.latencyMs);
        return (
          <span key={attempt.attempt} class={toneOf(attempt.outcome)}
            style={{ left: `min(${from}%, calc(100% - 3px))`, width: `${to - from}%` }}
            title={`attempt ${attempt.attempt} after ${millis(Date.parse(attempt.time) - start)}: ${attempt.status || "no answer"}, ${millis(attempt.latencyMs)}`} />
        );
      })}
    </div>
  );
}

function Position({ topic, partition, offset }: { topic: string; partition: number; offset: number }) {
  const event = useLoaded(
    async (signal) => (await get<Browsed[]>(at`/v1/topics/${topic}/events?limit=1&from=${partition}:${offset}`, signal))[0],
    [topic, partition, offset],
  );
  const list = useLoaded(
    async (signal) =>
      (await get<{ deliveries: Delivery[] }>(at`/v1/topics/${topic}/events/${partition}/${offset}/deliveries`, signal)).deliveries,
    [topic, partition, offset],
    2000,
  );
  const record = event.value?.offset === offset ? event.value : null;
  const start = record ? Date.parse(record.time) : 0;
  const deliveries = list.value ?? [];
  const { end, percent } = axis(start, deliveries);
  return (
    <section class="found">
      <h2>
        {record?.event ? record.event.type : "Event"} <span class="dim mono">{record?.event?.id}</span>
      </h2>
      <p class="dim">
        <a href={link(["topics", topic], { from: `${partition}:${offset}` })}>{topic}</a>, partition {partition}, offset{" "}
        {count(offset)}
        {record && `, published ${moment(record.time)}`}
      </p>
      <Fault error={event.error ?? list.error} />
      {event.value && !record && <p class="note">Retention has removed the event; its deliveries are still known.</p>}
      {deliveries.length > 0 && (
        <Table label="Deliveries" columns={[
          "Subscription",
          "Outcome",
          ["Tries", "num wide-only"],
          [
            <span class="axis">
              <span>published</span>
              {start > 0 && <span>+{millis(end - start)}</span>}
            </span>,
            "grow",
          ],
          "Last word",
        ]}>
          {deliveries.map((delivery) => {
            const last = delivery.attempts.at(-1);
            return (
              <tr key={delivery.subscription}>
                <td class="fit">
                  <a href={link(["subscriptions", delivery.subscription])}>{delivery.subscription}</a>
                </td>
                <td>
                  <State state={delivery.status} />
                </td>
                <td class="num wide-only">{delivery.attempts.length || "–"}</td>
                <td class="grow">
                  {start > 0 && delivery.attempts.length > 0 && <Fall delivery={delivery} start={start} percent={percent} />}
                </td>
                <td class="text">
                  {last ? `${last.status || "no answer"} in ${millis(last.latencyMs)}` : delivery.reason}
                  {last?.message && last.outcome !== "delivered" && <span class="dim"> · {last.message}</span>}
                  {delivery.nextAttempt && <div class="dim">next try {moment(delivery.nextAttempt)}</div>}
                  {delivery.attempts.length > 0 && (
                    <details>
                      <summary>{counted(delivery.attempts.length, "attempt")}</summary>
                      <pre>
                        {delivery.attempts
                          .map((a) => `${a.attempt}. ${moment(a.time)}  ${a.status || "no answer"}  ${millis(a.latencyMs)}  ${a.outcome}` +
                              (a.message ? `\n   ${a.message}` : "") + (a.answer ? `\n   ${a.answer}` : ""))
                          .join("\n")}
                      </pre>
                    </details>
                  )}
                </td>
              </tr>
            );
          })}
        </Table>
      )}
      {list.value && deliveries.length === 0 && <Empty>The topic has no subscription.</Empty>}
      {record?.event && (
        <details class="payload">
          <summary>The event</summary>
          <pre>{pretty(record.event)}</pre>
        </details>
      )}
      {record?.error && <p class="note">The record is no CloudEvent: {record.error}</p>}
    </section>
  );
}

export function FindEvent() {
  const id = query.value.get("id") ?? "";
  const topic = query.value.get("topic") ?? "";
  const partition = query.value.get("partition");
  const offset = query.value.get("offset");
  return (
    <>
      <Heading title="Where is my event?" />
      <Search key={query.value.toString()} />
      {partition !== null && offset !== null && topic ? (
        <Position key={`${topic}:${partition}:${offset}`} topic={topic} partition={Number(partition)} offset={Number(offset)} />
      ) : id ? (
        <ById key={`${topic}/${id}`} id={id} topic={topic} />
      ) : (
        <Empty>
          Publishing answers with topic, partition and offset, which is found at once. An id is looked for backwards from
          the end of the topics.
        </Empty>
      )}
    </>
  );
}
