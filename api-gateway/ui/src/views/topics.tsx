// Topics, and what is in one: page by page, or live.
import { useSignal } from "@preact/signals";
import { Fragment } from "preact";
import { useEffect } from "preact/hooks";
import { at, follow, get, request } from "../api";
import { count, moment, pretty } from "../format";
import { lagRows, lagTopics } from "../lag";
import type { Browsed, Topic } from "../model";
import { Empty, Fault, Heading, Table, useLoaded } from "../parts/basics";
import { State } from "../parts/state";
import { link, query, setQuery } from "../router";

export function Topics() {
  const list = useLoaded((signal) => get<Topic[]>("/v1/topics", signal), [], 5000);
  const figures = new Map(lagTopics.value.map((topic) => [topic.name, topic]));
  const followers = new Map<string, number>();
  for (const row of lagRows.value) followers.set(row.topic, (followers.get(row.topic) ?? 0) + 1);
  return (
    <>
      <Heading title="Topics" />
      <Fault error={list.error} retry={list.reload} />
      {list.value && (
        <Table label="Topics"
          columns={["Topic", "Status", ["Partitions", "num"], ["Subscriptions", "num"], ["Not matched yet", "num"], "Keeps"]}>
          {list.value.map((topic) => {
            const known = figures.get(topic.name);
            return (
              <tr key={topic.name}>
                <td>
                  <a href={link(["topics", topic.name])}>{topic.name}</a>
                </td>
                <td>
                  <State state={topic.status} />
                </td>
                <td class="num">{count(topic.partitions)}</td>
                <td class="num">{count(followers.get(topic.name) ?? 0)}</td>
                <td class="num">
                  {known ? count(known.partitions.reduce((sum, partition) => sum + partition.lag, 0)) : "–"}
                </td>
                <td class="dim">
                  {topic.retention?.time ?? "for ever"}
                  {topic.retention?.bytes ? `, ${count(topic.retention.bytes)} bytes` : ""}
                </td>
              </tr>
            );
          })}
        </Table>
      )}
    </>
  );
}

function describeData(event: Browsed["event"]): string {
  if (!event) return "";
  if (event.data !== undefined) return typeof event.data === "string" ? event.data : JSON.stringify(event.data);
  return event.data_base64 !== undefined ? "binary" : "";
}

function Events({ topic, events, newestFirst }: { topic: string; events: Browsed[]; newestFirst: boolean }) {
  const open = useSignal("");
  const shown = newestFirst ? [...events].reverse() : events;
  return (
    <Table label="Events" columns={["Time", ["Position", "num"], "Type", "Id", ["Data", "grow"], ""]}>
      {shown.map((record) => {
        const key = `${record.partition}:${record.offset}`;
        return (
          <Fragment key={key}>
          <tr class={open.value === key ? "open" : ""}>
            <td class="fit">{moment(record.time)}</td>
            <td class="num mono">{key}</td>
            <td class="mono fit">{record.event?.type ?? "–"}</td>
            <td class="mono id">{record.event?.id ?? "–"}</td>
            <td class="text">
              <button type="button" class="link data" aria-expanded={open.value === key}
                onClick={() => (open.value = open.value === key ? "" : key)}>
                {record.error ?? (describeData(record.event).slice(0, 90) || "no data")}
              </button>
            </td>
            <td class="num">
              <a href={link(["find"], { topic, partition: record.partition, offset: record.offset })} aria-label={`Deliveries of ${key}`}>
                Deliveries
              </a>
            </td>
          </tr>
          {open.value === key && (
            <tr class="open">
              <td colSpan={6} class="whole">
                <pre>{pretty(record.event ?? record)}</pre>
              </td>
            </tr>
          )}
          </Fragment>
        );
      })}
    </Table>
  );
}

const MOST_LIVE = 200;

function Tail({ topic, filter }: { topic: string; filter: string }) {
  const events = useSignal<Browsed[]>([]);
  const total = useSignal(0);
  const fault = useSignal("");
  const open = useSignal(false);
  useEffect(() => {
    events.value = [];
    total.value = 0;
    fault.value = "";
    return follow(at`/v1/topics/${topic}/events?follow=true` + (filter ? at`&filter=${filter}` : ""), {
      onOpen: () => {
        open.value = true;
        fault.value = "";
      },
      onEvent: ({ type, data }) => {
        if (type !== "message") {
          fault.value = JSON.parse(data).reason;
          return;
        }
        total.value++;
        events.value = [...events.value.slice(1 - MOST_LIVE), JSON.parse(data)];
      },
      onBreak: (reason, refused) => {
        open.value = false;
        if (refused) fault.value = reason;
      },
    });
  }, [topic, filter]);
  return (
    <>
      <Fault error={fault.value} />
      <p class="dim spaced" role="status">
        {open.value ? (
          <>
            <span class="dot" aria-hidden="true" />
            Live: {count(total.value)} since this was opened{total.value > MOST_LIVE && `, the last ${MOST_LIVE} shown`}
          </>
        ) : (
          "Connecting…"
        )}
      </p>
      {events.value.length > 0 ? (
        <Events topic={topic} events={events.value} newestFirst />
      ) : (
        <Empty>Waiting for the next event.</Empty>
      )}
    </>
  );
}

function Page({ topic, from, filter }: { topic: string; from: string; filter: string }) {
  const page = useLoaded(
    async (signal) => {
      const search = new URLSearchParams({ from, limit: "50" });
      if (filter) search.set("filter", filter);
      const headers = {};
      return request<Browsed[]>(at`/v1/topics/${topic}/events?` + search, { signal, headers });
    },
    [topic, from, filter],
  );
  if (page.error) return <Fault error={page.error} retry={page.reload} />;
  if (!page.value) return <Empty>Reading…</Empty>;
  const events = page.value.body;
  const next = new Map(events.map((record) => [record.partition, record.offset + 1]));
  const onward = [...next].map(([partition, offset]) => `${partition}:${offset}`).join(",");
  return (
    <>
      {events.length > 0 ? <Events topic={topic} events={events} newestFirst={false} /> : <Empty>Nothing from here on.</Empty>}
      {events.length > 0 && (
        <p class="actions spaced">
          <a class="button" href={link(["topics", topic], { from: onward, filter })}>
            Further on
          </a>
        </p>
      )}
    </>
  );
}

export function TopicView({ name }: { name: string }) {
  const from = query.value.get("from") ?? "";
  const filter = query.value.get("filter") ?? "";
  const typed = useSignal(filter);
  const rows = lagRows.value.filter((row) => row.topic === name);
  return (
    <>
      <Heading title={name} above={<a href={link(["topics"])}>Topics</a>}>
        <a class="button" href={link(["send"], { topic: name })}>
          Send an event
        </a>
        <a class="button" href={link(["filters"], { topic: name, sql: filter })}>
          Filter lab
        </a>
      </Heading>
      {rows.length > 0 && (
        <p class="dim route">
          Read by{" "}
          {rows.slice(0, 12).map((row, i) => (
            <>
              {i > 0 && ", "}
              <a href={link(["subscriptions", row.name])}>{row.name}</a>
            </>
          ))}
          {rows.length > 12 && ` and ${rows.length - 12} more`}
        </p>
      )}
      <form class="filters" onSubmit={(event) => {
          event.preventDefault();
          setQuery({ filter: typed.value });
        }}>
        <div class="chips" role="group" aria-label="From">
          {[["", "Live"], ["earliest", "From the beginning"]].map(([value, label]) => (
            <button key={value} type="button" class="chip" aria-pressed={from === value} onClick={() => setQuery({ from: value || undefined })}>
              {label}
            </button>
          ))}
          {from !== "" && from !== "earliest" && (
            <button type="button" class="chip" aria-pressed="true">
              From {from.length > 24 ? `${from.slice(0, 24)}…` : from}
            </button>
          )}
        </div>
        <input type="search" class="grow mono" spellcheck={false} aria-label="Filter, a CESQL expression"
          placeholder="CESQL: type = 'order.created' AND subject LIKE '%42'" value={typed.value}
          onInput={(event) => (typed.value = event.currentTarget.value)} />
        <button type="submit">Filter</button>
      </form>
      {from === "" ? <Tail key={filter} topic={name} filter={filter} /> : <Page topic={name} from={from} filter={filter} />}
    </>
  );
}
