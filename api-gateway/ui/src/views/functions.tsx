// Functions, their runs as they come, and what a run said.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { at, follow, get } from "../api";
import { count, millis, moment, pretty } from "../format";
import { Empty, Fault, Heading, Table, useLoaded } from "../parts/basics";
import { State } from "../parts/state";
import { link, query, setQuery } from "../router";

interface Fn {
  name: string;
  image?: string;
  runtime?: string;
  url?: string;
  handler?: string;
  status: string;
  reason?: string[] | null;
}

interface Run {
  name: string;
  functionName: string;
  status: string;
  executedTime: number; // unix nanoseconds
  finishedTime: number;
  elapsedMs?: number;
  coldStart?: boolean;
  blocking?: boolean;
  logs?: { stdout?: string[] | null; stderr?: string[] | null; cut?: boolean };
  error?: { type: string; message: string; stacktrace: string[] };
  input?: unknown;
  output?: unknown;
  event?: unknown;
}

export function Functions() {
  const list = useLoaded((signal) => get<Fn[]>("/v1/function", signal), [], 5000);
  return (
    <>
      <Heading title="Functions" />
      <Fault error={list.error} retry={list.reload} />
      {list.value?.length === 0 && (
        <Empty>
          There is no function yet. Make one with <code>dispatch create function</code>.
        </Empty>
      )}
      {list.value && list.value.length > 0 && (
        <Table label="Functions" columns={["Function", "Status", "Runs on", "Why"]}>
          {list.value.map((one) => (
            <tr key={one.name}>
              <td>
                <a href={link(["functions", one.name])}>{one.name}</a>
              </td>
              <td>
                <State state={one.status} />
              </td>
              <td class="mono">{one.url || one.image || one.runtime || "–"}</td>
              <td class="text dim">{one.reason?.join("; ")}</td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}

function RunDetails({ id }: { id: string }) {
  const run = useLoaded((signal) => get<Run>(at`/v1/runs/${id}`, signal), [id]);
  if (run.error) return <Fault error={run.error} />;
  if (!run.value) return <Empty>Reading…</Empty>;
  const { logs, error, input, output, event } = run.value;
  const lines = [...(logs?.stdout ?? []), ...(logs?.stderr ?? []).map((line) => `stderr  ${line}`)];
  const part = (title: string, value: unknown) =>
    value == null ? null : (
      <>
        <h2>{title}</h2>
        <pre>{pretty(value)}</pre>
      </>
    );
  return (
    <section class="run" aria-label={`Run ${id}`}>
      {error && (
        <>
          <p class="fault">
            {error.type}: {error.message}
          </p>
          {error.stacktrace.length > 0 && <pre>{error.stacktrace.join("\n")}</pre>}
        </>
      )}
      <h2>Logs</h2>
      {lines.length ? <pre>{lines.join("\n")}</pre> : <p class="dim">It wrote nothing.</p>}
      {logs?.cut && <p class="dim">There was more than is kept.</p>}
      {part("Input", input)}
      {part("Output", output)}
      {part("Event", event)}
    </section>
  );
}

const MOST = 200;

export function FunctionView({ name }: { name: string }) {
  const fn = useLoaded((signal) => get<Fn>(at`/v1/function/${name}`, signal), [name], 5000);
  const first = useLoaded((signal) => get<Run[]>(at`/v1/runs?functionName=${name}&limit=50`, signal), [name]);
  const live = useSignal<Map<string, Run>>(new Map());
  const open = query.value.get("run") ?? "";
  useEffect(() => {
    live.value = new Map();
    return follow(at`/v1/runs?follow=true&functionName=${name}`, {
      onEvent: ({ type, data }) => {
        if (type !== "message") return;
        const run: Run = JSON.parse(data);
        const next = new Map(live.value);
        next.delete(run.name);
        next.set(run.name, run);
        if (next.size > MOST) next.delete(next.keys().next().value!);
        live.value = next;
      },
    });
  }, [name]);
  const runs = [
    ...[...live.value.values()].reverse(),
    ...(first.value ?? []).filter((run) => !live.value.has(run.name)),
  ];
  return (
    <>
      <Heading title={name} above={<a href={link(["functions"])}>Functions</a>}>
        {fn.value && <State state={fn.value.status} />}
      </Heading>
      <Fault error={fn.error ?? first.error} />
      {fn.value && (
        <p class="dim route mono">{fn.value.url || fn.value.image || fn.value.runtime}</p>
      )}
      {fn.value?.reason?.length ? <p class="note">{fn.value.reason.join("; ")}</p> : null}
      {first.value && runs.length === 0 && <Empty>It has not run yet. Runs show here as they are asked for and end.</Empty>}
      {runs.length > 0 && (
        <Table label="Runs" columns={["Asked for", "State", ["Took", "num"], "Run", "Error"]}>
          {runs.map((run) => (
            <tr key={run.name} class={open === run.name ? "open" : ""}>
              <td class="fit">{moment(run.executedTime / 1e6)}</td>
              <td>
                <State state={run.status} />
              </td>
              <td class="num">
                {run.finishedTime ? millis(run.elapsedMs ?? (run.finishedTime - run.executedTime) / 1e6) : "–"}
                {run.coldStart && <span class="dim"> cold</span>}
              </td>
              <td class="fit">
                <button type="button" class="link mono" aria-expanded={open === run.name}
                  onClick={() => setQuery({ run: open === run.name ? undefined : run.name })}>
                  {run.name.slice(0, 13)}
                </button>
              </td>
              <td class="text">{run.error?.message}</td>
            </tr>
          ))}
        </Table>
      )}
      {first.value && <p class="dim more">{count(runs.length)} runs, the newest first; live.</p>}
      {open && <RunDetails key={open} id={open} />}
    </>
  );
}
