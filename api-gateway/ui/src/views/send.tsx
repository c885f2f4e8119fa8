// Sends a test event, and shows where it went.
import { useSignal } from "@preact/signals";
import { at, request } from "../api";
import { lagTopics } from "../lag";
import { Fault, Heading, Table, useAct } from "../parts/basics";
import { link, query } from "../router";

interface Published {
  results: { id: string; topic: string; partition: number; offset: number }[];
}

export function SendEvent() {
  const topic = useSignal(query.value.get("topic") ?? "default");
  const type = useSignal("test.event");
  const subject = useSignal("");
  const key = useSignal("");
  const data = useSignal('{\n  "hello": "world"\n}');
  const sent = useSignal<Published["results"]>([]);
  const sending = useAct();
  const field = (label: string, value: typeof topic, more: object = {}, note = "") => (
    <label>
      {label} {note && <span class="dim">{note}</span>}
      <input type="text" spellcheck={false} autocomplete="off" value={value.value}
        onInput={(event) => (value.value = event.currentTarget.value)} {...more} />
    </label>
  );
  const submit = (event: Event) => {
    event.preventDefault();
    sending.run(async () => {
      const cloudEvent: Record<string, unknown> = {
        specversion: "1.0",
        id: `ui-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`,
        source: "/dispatch/ui",
        type: type.value,
        time: new Date().toISOString(),
      };
      if (subject.value) cloudEvent.subject = subject.value;
      if (key.value) cloudEvent.partitionkey = key.value;
      if (data.value.trim()) {
        try {
          cloudEvent.data = JSON.parse(data.value);
          cloudEvent.datacontenttype = "application/json";
        } catch {
          cloudEvent.data = data.value;
          cloudEvent.datacontenttype = "text/plain";
        }
      }
      const headers = { "Content-Type": "application/cloudevents+json" };
      const answer = await request<Published>(at`/v1/topics/${topic.value}/events`, { method: "POST", body: cloudEvent, headers });
      sent.value = [...answer.body.results, ...sent.value].slice(0, 10);
    });
  };
  return (
    <>
      <Heading title="Send a test event" />
      <form class="fields narrow" onSubmit={submit}>
        {field("Topic", topic, { list: "topics", required: true })}
        <datalist id="topics">
          {lagTopics.value.map(({ name }) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        {field("Type", type, { required: true })}
        {field("Subject", subject, {}, "optional")}
        {field("Partition key", key, {}, "optional")}
        <label class="wide">
          Data <span class="dim">JSON, or else text</span>
          <textarea rows={8} spellcheck={false} value={data.value} onInput={(event) => (data.value = event.currentTarget.value)} />
        </label>
        <div class="wide">
          <button type="submit" class="primary" disabled={sending.busy}>
            {sending.busy ? "Sending…" : "Send"}
          </button>
        </div>
      </form>
      <Fault error={sending.error} />
      {sent.value.length > 0 && (
        <>
          <h2>Sent</h2>
          <Table label="Sent">
            {sent.value.map((one) => (
              <tr key={one.id}>
                <td class="mono">{one.id}</td>
                <td>{one.topic}</td>
                <td class="num mono">
                  {one.partition}:{one.offset}
                </td>
                <td class="num">
                  <a href={link(["find"], { topic: one.topic, partition: one.partition, offset: one.offset })}>Where is it?</a>
                </td>
              </tr>
            ))}
          </Table>
        </>
      )}
    </>
  );
}
