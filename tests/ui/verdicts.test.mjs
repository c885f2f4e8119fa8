// What ails a subscription is on the screen within five seconds, with its cause, and gone within five
// seconds after it was mended. tests/functional/test_verdicts.py holds the API to the same.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Dashboard } from "./lib/browser.mjs";
import { Receiver } from "./lib/receiver.mjs";
import { ORG, api, deleteRecords, eventually, flow, publish } from "./lib/stack.mjs";

const SOON = 5; // seconds
const WELL = ["OK", "Busy"];

let receiver;
let ui;

before(async () => {
  receiver = await Receiver.start();
  ui = await Dashboard.start();
  await api("POST", "/v1/iam/organization", { name: ORG }, "");
  await ui.signIn();
  await ui.page.getByRole("heading", { name: "Lag" }).waitFor();
});

after(async () => {
  await ui?.browser.close();
  receiver?.stop();
});

afterEach(() => assert.deepEqual(ui.takeFaults(), []));

/** A topic, and a subscription of the same name to it, at an endpoint that is answered. */
async function watched(name, topic = {}, more = {}) {
  const endpoint = receiver.endpoint(name);
  await api("POST", "/v1/topics", { name, partitions: 4, ...topic });
  const subscription = { name, topic: name, filters: [], sink: { url: endpoint.url }, ...more };
  await api("POST", "/v1/subscriptions?wait=READY&timeout=20s", subscription);
  await ui.row(name).waitFor();
  return endpoint;
}

/** Waits until the row says so, and for what it is to say why; tells how long it took. */
async function shows(name, what, states, why = "", seconds = SOON) {
  const began = performance.now();
  await eventually(
    async () => {
      const cells = await ui.cells(name);
      const right = states.some((state) => cells.state.endsWith(state)) && cells.verdict.includes(why);
      if (!right) throw new Error(`${cells.state}: ${cells.verdict}`);
      return true;
    },
    `${what}: ${states} ${why}`,
    seconds,
  );
  console.log(`    ${what}: on the screen after ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

/** The board and the subscription as they are now, and no barrier on either. */
async function pictured(name) {
  await ui.screenshots(`verdict-${name}`);
  assert.deepEqual(await ui.barriers(), []);
  const { verdict } = await ui.cells(name);
  await ui.go(`/subscriptions/${name}`);
  await ui.page.getByRole("heading", { name, exact: true }).waitFor();
  assert.notEqual(verdict, "");
  assert.equal(await ui.page.locator(".verdict .state").count(), 1);
  await ui.screenshots(`verdict-${name}-subscription`);
  assert.deepEqual(await ui.barriers(), []);
  await ui.go("/");
  await ui.row(name).waitFor();
}

const flows = (endpoint) => eventually(() => endpoint.accepted >= 60, "events flow", 30);

test("an endpoint that hangs", async () => {
  const endpoint = await watched("hangs");
  const stop = flow("hangs");
  try {
    await flows(endpoint);
    await shows("hangs", "it flows", WELL);
    endpoint.hangs = true;
    await shows("hangs", "it hangs", ["Stalled"], "in flight without an answer");
    await pictured("hangs");
    endpoint.answerHanging();
    await shows("hangs", "it answers again", WELL);
  } finally {
    await stop();
  }
});

test("an endpoint that answers 503", async () => {
  const endpoint = await watched("refuses");
  const stop = flow("refuses");
  try {
    await flows(endpoint);
    endpoint.status = 503;
    await shows("refuses", "it refuses", ["Stalled", "Failing"], "503");
    await shows("refuses", "its circuit is open", ["Stalled"], "circuit", 2 * SOON);
    await pictured("refuses");
    endpoint.status = 204;
    const taken = endpoint.accepted;
    await eventually(() => endpoint.accepted > taken, "the circuit lets attempts through", 60);
    await shows("refuses", "it is back", WELL);
  } finally {
    await stop();
  }
});

test("a pause", async () => {
  await watched("pauses");
  const stop = flow("pauses");
  try {
    await shows("pauses", "it flows", WELL);
    await api("POST", "/v1/subscriptions/pauses/pause");
    await shows("pauses", "it is paused", ["Paused"], "paused");
    await pictured("pauses");
    await api("POST", "/v1/subscriptions/pauses/resume");
    await shows("pauses", "it is resumed", WELL);
  } finally {
    await stop();
  }
});

test("all keys in one partition", async () => {
  await watched("skewed", {}, { rateLimit: { events: 20, per: "1s" } });
  await publish("skewed", "skewed.event", 13_000, () => ({ partitionkey: "one" })); // 10,000 are taken in before any is left unread
  await shows("skewed", "its keys are uneven", ["Skewed"], "unread events");
  assert.match((await ui.cells("skewed")).verdict, /partition \d has \d+ of \d+ unread events/);
  await pictured("skewed");
  const stored = await api("GET", "/v1/subscriptions/skewed");
  for (const field of ["statistics", "revision", "id", "rateLimit"]) delete stored[field];
  await api("PUT", "/v1/subscriptions/skewed", stored);
  const unread = async () => (await api("GET", "/v1/subscriptions/skewed")).statistics.unread;
  await eventually(async () => (await unread()) < 1000, "it catches up", 60);
  await shows("skewed", "it is read", WELL);
});

test("a key that blocks others", async () => {
  const endpoint = await watched("ordered", {}, {
    ordering: "key",
    retry: { minBackoff: "2s", factor: 1, maxBackoff: "2s", maxAttempts: 1000, jitter: 0 },
  });
  const stop = flow("ordered");
  try {
    await flows(endpoint);
    endpoint.statusOf = (request) => (request.headers["ce-partitionkey"] === "customer-7" ? 503 : 204);
    const [place] = await publish("ordered", "ordered.event", 40, () => ({ partitionkey: "customer-7" }));
    await shows("ordered", "one key is in the way", ["Failing", "Stalled"], "one key blocks 39 events: 503 from");
    await pictured("ordered");
    await ui.row("ordered").getByRole("link", { name: "See keys: ordered" }).click();
    await ui.page.getByRole("heading", { name: "Blocking keys: 1 key in the way of 39 events" }).waitFor();
    const row = ui.page.getByRole("row").filter({ hasText: "customer-7" });
    await row.getByText(/^in |^under way|^due/).waitFor();
    assert.match(await row.innerText(), /^customer-7\s+39\s[^]*503 from http/);
    await ui.screenshots("blocking-keys");
    assert.deepEqual(await ui.barriers(), []);
    await row.getByRole("link", { name: `See ${place.partition}:${place.offset}` }).click();
    await ui.page.getByRole("heading", { name: /ordered.event/ }).waitFor();
    await ui.go("/");
    const taken = endpoint.accepted;
    endpoint.statusOf = null;
    await eventually(() => endpoint.accepted > taken + 39, "its next attempt went well");
    await shows("ordered", "nothing is in the way", WELL);
    await ui.go("/subscriptions/ordered");
    await ui.page.getByText("What matched is delivered").waitFor();
    await ui.page.getByText("Blocking keys").waitFor({ state: "detached" });
    await ui.go("/");
  } finally {
    await stop();
  }
});

test("retention that comes close", async () => {
  const endpoint = await watched("at-risk", { partitions: 1, retention: { time: "1h", bytes: 1 << 20 } });
  await publish("at-risk", "risk.event", 10);
  await eventually(() => endpoint.accepted === 10, "it has what came first");
  await api("POST", "/v1/subscriptions/at-risk/pause");
  await publish("at-risk", "risk.event", 20);
  await shows("at-risk", "it is far", ["Paused"]);
  await deleteRecords("at-risk", 0, 8);
  await shows("at-risk", "it comes close", ["At risk"], "retention passes the cursor");
  await pictured("at-risk");
  await api("POST", "/v1/subscriptions/at-risk/resume");
  await shows("at-risk", "all is read", WELL);
  await eventually(() => endpoint.accepted === 30, "nothing was lost");
});
