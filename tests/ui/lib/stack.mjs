// The running stack (deploy/local/up): its API with the operator's key, and its parts.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

export const REPO = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

function needed(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: start a stack and source its run/env, or use tests/run ui`);
  return value;
}

export const API = needed("DISPATCH_API_URL");
export const KEY = readFileSync(needed("DISPATCH_API_KEY_FILE"), "utf8").trim();

/** An organisation of this run's own, so that a stack can be used again. */
export const ORG = `ui-${Date.now()}`;

/** Answers the body; throws for what is not 2xx. */
export async function api(method, path, body, org = ORG) {
  const headers = { Authorization: `Bearer ${KEY}`, "X-Dispatch-Org": org };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(API + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** Publishes events of one type as a batch; `make` adds fields to the i-th. Answers their places. */
export async function publish(topic, type, count, make = () => ({})) {
  const results = [];
  for (let first = 0; first < count; first += 500) {
    const events = [];
    for (let i = first; i < Math.min(count, first + 500); i++) {
      events.push({ specversion: "1.0", id: `${type}-${first}-${i}-${Date.now()}`, source: "/tests/ui", type, data: { number: i }, ...make(i) });
    }
    const answer = await fetch(`${API}/v1/topics/${topic}/events`, {
      method: "POST",
      headers: { Authorization: `Bearer ${KEY}`, "X-Dispatch-Org": ORG, "Content-Type": "application/cloudevents-batch+json" },
      body: JSON.stringify(events),
    });
    if (answer.status !== 202) throw new Error(`publish: ${answer.status} ${await answer.text()}`);
    results.push(...(await answer.json()).results);
  }
  return results;
}

/** Publishes one event each 50 ms, with keys in turn, until the returned function was awaited. */
export function flow(topic, keys = 16) {
  let on = true;
  const run = async () => {
    for (let i = 0; on; i++) {
      await publish(topic, `${topic}.event`, 1, () => ({ partitionkey: `k${i % keys}` }));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const running = run();
  return async () => {
    on = false;
    await running;
  };
}

/** As retention does: records of the topic's partition below `before` are gone. */
export async function deleteRecords(topic, partition, before) {
  const script =
    "import sys; from lib.kafka import delete_records; " +
    "delete_records(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))";
  const args = [needed("DISPATCH_KAFKA_BROKERS"), `${ORG}.${topic}`, partition, before].map(String);
  await run("python3", ["-c", script, ...args], { env: { ...process.env, PYTHONPATH: `${REPO}/tests` } });
}

/** deploy/local/TOOL with arguments, on this stack. */
export async function tool(name, ...args) {
  await run(`${REPO}/deploy/local/${name}`, args, { env: process.env });
}

/** Waits until `probe` answers something true, and answers that. */
export async function eventually(probe, what, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what} (last: ${last})`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
