// The dashboard in Chromium on a whole stack: every screen, with numbers held against what the
// subscribers really took.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Dashboard } from "./lib/browser.mjs";
import { Receiver } from "./lib/receiver.mjs";
import { API, KEY, ORG, api, eventually, publish, tool } from "./lib/stack.mjs";

const SOON = 5; // seconds that a verdict may take

let receiver;
let ui;
const ends = {}; // endpoints by subscription
const published = {}; // events by topic
let places; // of the orders

async function subscribe(name, topic, eventType, more = {}) {
  await api("POST", "/v1/subscriptions?wait=READY&timeout=20s", {
    name,
    topic,
    eventType,
    sink: { url: ends[name].url },
    retry: { minBackoff: "1s", factor: 1, maxBackoff: "1s", maxAttempts: 1000, jitter: 0 },
    ...more,
  });
}

before(async () => {
  receiver = await Receiver.start();
  ui = await Dashboard.start();
  await api("POST", "/v1/iam/organization", { name: ORG }, "");
  for (const [topic, partitions] of [["orders", 4], ["payments", 2], ["audit", 1]]) {
    await api("POST", "/v1/topics", { name: topic, partitions });
  }
  ends.warehouse = receiver.endpoint("warehouse");
  ends.billing = receiver.endpoint("billing", 503);
  ends["search-index"] = receiver.endpoint("search-index", 204, 400);
  ends.mail = receiver.endpoint("mail");
  ends.fraud = receiver.endpoint("fraud", 422);
  ends.ledger = receiver.endpoint("ledger");
  await subscribe("warehouse", "orders", "order.created");
  await subscribe("billing", "orders", "order.created");
  await subscribe("search-index", "orders", "order.created", { maxInFlight: 1 });
  await subscribe("mail", "orders", "order.created");
  await subscribe("fraud", "payments", "payment.made");
  await subscribe("ledger", "payments", "payment.made");
  await api("POST", "/v1/subscriptions/mail/pause");
  places = await publish("orders", "order.created", 120, (i) => ({ subject: `order-${i}`, partitionkey: `customer-${i % 9}` }));
  await publish("payments", "payment.made", 30);
  published.orders = 120;
  published.payments = 30;
});

after(async () => {
  await ui?.browser.close();
  receiver?.stop();
});

// Whatever a test does, the page reports no error and asks nobody else.
afterEach(() => assert.deepEqual(ui.takeFaults(), []));

const number = (text) => Number(text.replaceAll(",", ""));

test("a key is asked for, and stays out of every URL", async () => {
  await ui.signIn("wrong.key");
  await ui.page.getByRole("alert").getByText("This key is not valid.").waitFor();
  assert.match(ui.takeFaults().join(), /401/); // the browser's own line on the refused request
  await ui.screenshots("sign-in");
  assert.deepEqual(await ui.barriers(), []);
  const urls = [];
  ui.page.on("request", (request) => urls.push(request.url()));
  await ui.signIn();
  await ui.page.getByRole("heading", { name: "Lag" }).waitFor();
  await ui.row("billing").waitFor();
  assert.ok(!urls.concat(ui.page.url()).some((url) => url.includes(KEY) || url.includes(KEY.slice(-12))));
});

test("the page is small, strict and quick", async () => {
  const page = await fetch(`${API}/ui`);
  const policy = page.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*|http/);
  const names = [...(await page.text()).matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]);
  let weight = 0;
  for (const path of ["/ui", ...names]) {
    const answer = await fetch(API + path, { headers: { "Accept-Encoding": "gzip" } });
    assert.equal(answer.headers.get("content-encoding"), "gzip", path);
    weight += Number(answer.headers.get("content-length"));
    const again = await fetch(API + path, { headers: { "If-None-Match": answer.headers.get("etag") } });
    assert.equal(again.status, 304, path);
    assert.match(answer.headers.get("cache-control"), path === "/ui" ? /no-cache/ : /immutable/);
  }
  assert.ok(weight < 100 * 1024, `${weight} bytes`);
  await ui.page.reload();
  await ui.row("billing").waitFor();
  const paint = await ui.page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
  console.log(`    ${weight} bytes compressed, first paint after ${Math.round(paint)} ms`);
  assert.ok(paint < 1000, `first paint after ${paint} ms`);
});

test("every number on the board is what the subscribers took", async () => {
  await eventually(async () => {
    const settled = { warehouse: ends.warehouse.accepted, ledger: ends.ledger.accepted };
    return settled.warehouse === published.orders && settled.ledger === published.payments;
  }, "the good endpoints have all");
  await eventually(async () => ends["search-index"].accepted === published.orders, "the slow one has all", 90);
  const truth = {
    warehouse: ["OK", 0],
    ledger: ["OK", 0],
    "search-index": ["OK", 0],
    billing: ["Stalled", published.orders],
    mail: ["Paused", published.orders],
    fraud: ["OK", 0], // its events are dead letters
  };
  for (const [name, [state, waiting]] of Object.entries(truth)) {
    await eventually(async () => {
      const cells = await ui.cells(name);
      return cells.state.endsWith(state) && number(cells.waiting) === waiting && cells.balance.startsWith("✓");
    }, `${name} shows ${state} and ${waiting} waiting`, 40);
  }
  const oldest = Date.parse((await api("GET", `/v1/topics/orders/events?limit=1&from=${places[0].partition}:${places[0].offset}`))[0].time);
  const { age, verdict } = await ui.cells("billing");
  assert.match(verdict, /503/);
  const [whole, minutes, seconds] = /^(?:(\d+) min ?)?(?:([\d.]+) s)?$/.exec(age) ?? [];
  assert.ok(whole, age);
  const shown = Number(minutes ?? 0) * 60 + Number(seconds ?? 0);
  assert.ok(Math.abs(shown - (Date.now() - oldest) / 1000) < 3, `${age}, and it is ${(Date.now() - oldest) / 1000} s`);
  const first = await ui.page.locator(".rows-body .row").first().innerText();
  assert.match(first, /billing/); // the most in pain
  await ui.screenshots("board");
  await ui.page.emulateMedia({ colorScheme: "dark" });
  await ui.page.screenshot({ path: "../../build/ui-screenshots/board-dark-1280.png" });
  await ui.page.emulateMedia({ colorScheme: "light" });
  assert.deepEqual(await ui.barriers(), []);
});

test("the books of a subscription are what its endpoint took", async () => {
  await ui.go("/subscriptions/fraud");
  await ui.page.getByText(`${published.payments} matched`).waitFor();
  const legend = () => ui.page.locator(".legend").last().innerText();
  await eventually(async () => (await legend()).includes(`dead-lettered ${published.payments}`), "its dead letters");
  assert.equal(ends.fraud.accepted, 0);
  await ui.go("/subscriptions/billing");
  await ui.page.getByRole("heading", { name: "billing" }).waitFor();
  await ui.screenshots("subscription");
  assert.deepEqual(await ui.barriers(), []);
  await ui.page.getByRole("link", { name: "Attempts", exact: true }).click();
  await ui.page.getByText("“no: 503”").first().waitFor();
  await ui.screenshots("attempts");
  assert.deepEqual(await ui.barriers(), []);
  await ui.page.getByRole("link", { name: "Partitions", exact: true }).click();
  await ui.page.getByRole("columnheader", { name: "End of log" }).waitFor();
  const ended = await ui.page.locator("tbody tr td:nth-child(3)").allInnerTexts();
  assert.equal(ended.map(number).reduce((a, b) => a + b), published.orders);
  await ui.screenshots("partitions");
  assert.deepEqual(await ui.barriers(), []);
});

test("an endpoint that recovers clears its verdict", async () => {
  await ui.go("/");
  ends.billing.status = 204;
  await eventually(() => ends.billing.accepted === published.orders, "the circuit closed, and billing has all", 150);
  await eventually(async () => (await ui.cells("billing")).state.endsWith("OK"), "billing is OK", SOON);
  assert.equal(number((await ui.cells("billing")).waiting), 0);
});

test("a paused subscription is resumed by who confirms it, and paused again", async () => {
  await ui.go("/subscriptions/mail");
  await ui.page.getByRole("button", { name: "Resume…" }).click();
  await ui.page.getByRole("dialog").getByText(`${published.orders} unread`).waitFor();
  await ui.screenshots("resume");
  await ui.page.getByRole("button", { name: "Leave it" }).click();
  assert.equal(ends.mail.tried, 0);
  await ui.page.getByRole("button", { name: "Resume…" }).click();
  await ui.page.getByRole("dialog").getByRole("button", { name: "Resume", exact: true }).click();
  await eventually(() => ends.mail.accepted === published.orders, "mail has all", 30);
  await eventually(async () => (await ui.page.locator(".verdict").innerText()).includes("OK"), "mail is OK", 15);
  await ui.page.getByRole("button", { name: "Pause…" }).click();
  await ui.page.getByRole("dialog").getByRole("button", { name: "Pause", exact: true }).click();
  await eventually(async () => (await ui.page.locator(".verdict").innerText()).includes("Paused"), "mail is paused", SOON);
});

const MOST_OF_MAIL = /: \d+ now, 120 at most/; // all orders

/** What waited before this page was opened, of mail, which had all orders before it for a while. */
async function shownHistory() {
  await ui.page.reload();
  await ui.go("/");
  const spark = ui.row("mail").getByRole("img", { name: MOST_OF_MAIL });
  await spark.waitFor();
  await ui.go("/subscriptions/mail?span=1h");
  await ui.page.getByRole("img", { name: /waiting over the last 1 h/ }).and(ui.page.getByRole("img", { name: MOST_OF_MAIL })).waitFor();
}

test("what waited is on the screen after a reload, and after a restart", async () => {
  await shownHistory();
  await ui.screenshots("history");
  assert.deepEqual(await ui.barriers(), []);
  await ui.page.getByRole("button", { name: "24 h" }).click();
  await ui.page.getByRole("img", { name: /waiting over the last 24 h: \d+ now, 120 at most/ }).waitFor();
  await ui.page.getByRole("link", { name: "Partitions", exact: true }).click();
  const { partitions } = (await api("GET", "/v1/subscriptions/mail")).statistics;
  for (const { partition, end } of partitions) {
    await ui.page.getByRole("img", { name: new RegExp(`^partition ${partition}: \\d+ unread lately, ${end} at most`) }).waitFor();
  }
  await ui.screenshots("partitions-over-time");
  assert.deepEqual(await ui.barriers(), []);
  await tool("restart", "event-manager");
  await ui.go("/");
  await ui.page.getByText("Live", { exact: true }).waitFor({ timeout: 15_000 });
  ui.takeFaults(); // requests while it was away
  await shownHistory();
});

/** The place of an order that billing took only when it was tried again. */
async function triedAgain() {
  for (const place of places) {
    const { deliveries } = await api("GET", `/v1/topics/orders/events/${place.partition}/${place.offset}/deliveries`);
    const billing = deliveries.find((each) => each.subscription === "billing");
    if (billing?.status === "DELIVERED" && billing.attempts.length > 1) return place;
  }
}

test("where is my event: by id, then by position", async () => {
  const one = await eventually(triedAgain, "an order that was tried again");
  await ui.go("/find");
  await ui.page.getByLabel("Event id, or partition:offset").fill(one.id);
  await ui.page.getByRole("button", { name: "Find" }).click();
  await ui.page.getByRole("cell", { name: "warehouse" }).waitFor();
  await eventually(async () => (await ui.page.getByRole("row").filter({ hasText: "billing" }).innerText()).includes("Delivered"), "billing's delivery");
  const row = await ui.page.getByRole("row").filter({ hasText: "billing" }).innerText();
  assert.match(row, /\d+ attempts?/);
  await ui.page.getByRole("heading", { name: `order.created ${one.id}` }).waitFor();
  assert.ok((await ui.page.locator(".fall span").count()) >= 5); // four subscriptions, and billing more than once
  await ui.screenshots("where-is-my-event");
  assert.deepEqual(await ui.barriers(), []);
  await ui.go(`/find?topic=orders&partition=${one.partition}&offset=${one.offset}`);
  await ui.page.getByText(one.id).first().waitFor();
});

test("dead letters are grouped by cause and redriven at a rate", async () => {
  await ui.go("/dead-letters");
  await ui.screenshots("dead-letters");
  await ui.page.getByRole("main").getByRole("link", { name: "fraud" }).click();
  const cause = ui.page.getByRole("row").filter({ hasText: "payment.made" }).first();
  await cause.waitFor();
  assert.match(await cause.innerText(), new RegExp(`^${published.payments}\\b[^]*422`));
  await cause.getByRole("button", { name: /^Redrive/ }).click();
  await ui.page.getByRole("dialog").getByText(`${published.payments} dead letters`).waitFor();
  await ui.screenshots("redrive-asked");
  assert.deepEqual(await ui.barriers(), []);
  await ui.page.getByText("dispatch dead-letters redrive fraud --reason rejected --status 422 --type payment.made --rate 10/s").waitFor();
  await ui.page.getByLabel("Events a second").fill("2");
  await ui.page.getByRole("button", { name: "Redrive", exact: true }).click();
  await ui.page.getByRole("cell", { name: "Running" }).waitFor();
  await ui.page.getByRole("button", { name: "Cancel" }).click();
  await ui.page.getByRole("cell", { name: "Cancelled" }).waitFor();
  ends.fraud.status = 204;
  await ui.page.getByRole("button", { name: "Redrive all…" }).click();
  await ui.page.getByLabel("Events a second").fill("1000");
  await ui.page.getByRole("button", { name: "Redrive", exact: true }).click();
  await ui.page.getByRole("cell", { name: "Done" }).waitFor();
  await eventually(() => ends.fraud.accepted === published.payments, "every dead letter was delivered, once", 30);
  await ui.page.getByText("No dead letters").waitFor();
  await ui.screenshots("redriven");
  assert.deepEqual(await ui.barriers(), []);
});

test("an event that is sent shows in the live tail", async () => {
  await ui.go("/topics");
  await ui.page.getByRole("link", { name: "audit" }).waitFor();
  await ui.screenshots("topics");
  assert.deepEqual(await ui.barriers(), []);
  const other = await ui.context.newPage();
  await ui.go("/topics/audit");
  await ui.page.getByText("Live: 0").waitFor();
  await publish("audit", "audit.written", 3, (i) => ({ subject: `entry-${i}` }));
  await ui.page.getByText("Live: 3").waitFor();
  await other.close();
  await ui.page.getByRole("button", { name: /"number":1/ }).click();
  await ui.screenshots("topic");
  assert.deepEqual(await ui.barriers(), []);
  await ui.go("/send?topic=audit");
  await ui.page.getByRole("button", { name: "Send", exact: true }).click();
  await ui.page.getByRole("link", { name: "Where is it?" }).waitFor();
  await ui.screenshots("send");
  assert.deepEqual(await ui.barriers(), []);
  await ui.page.getByRole("link", { name: "Where is it?" }).click();
  await ui.page.getByRole("heading", { name: /test.event/ }).waitFor();
  await ui.page.getByText("The topic has no subscription.").waitFor();
});

test("the filter lab counts what would match", async () => {
  await ui.go("/filters?topic=orders");
  await ui.page.getByLabel(/^Filter/).fill("subject LIKE 'order-1%'");
  await ui.page.getByRole("button", { name: "Try it" }).click();
  const truth = Array.from({ length: published.orders }, (_, i) => `order-${i}`).filter((subject) => subject.startsWith("order-1")).length;
  await ui.page.locator(".figure", { hasText: "Matched" }).getByText(String(truth), { exact: true }).waitFor();
  await ui.screenshots("filter-lab");
  assert.deepEqual(await ui.barriers(), []);
});

test("a function's runs come as they end, with their logs", async () => {
  await ui.go("/functions");
  await ui.page.getByText("There is no function yet.").waitFor();
  assert.deepEqual(await ui.barriers(), []);
  const code = receiver.function("thumbnails", (payload) =>
    payload.broken
      ? { error: { type: "FunctionError", message: "no such picture", stacktrace: ["at thumbnail.js:12"] }, stderr: ["cannot open it"] }
      : { payload: { width: 120 }, stdout: ["read 3 pictures", "wrote 3 thumbnails"] },
  );
  await api("POST", "/v1/function", { name: "thumbnails", runtime: "http", url: code.url });
  await ui.page.getByRole("link", { name: "thumbnails" }).click();
  await ui.page.getByText("It has not run yet.").waitFor();
  await api("POST", "/v1/runs?functionName=thumbnails", { blocking: true, input: { pictures: 3 } });
  await ui.page.getByRole("cell", { name: "Ready" }).waitFor();
  await api("POST", "/v1/runs?functionName=thumbnails", { blocking: true, input: { broken: true } });
  const failed = ui.page.getByRole("row").filter({ hasText: "no such picture" });
  await failed.waitFor();
  assert.equal(code.tried, (await ui.page.locator("tbody tr").count()));
  await failed.getByRole("button").click();
  await ui.page.getByText("stderr  cannot open it").waitFor();
  await ui.screenshots("function");
  assert.deepEqual(await ui.barriers(), []);
});

test("the services, and whether they are heard", async () => {
  await ui.go("/services");
  await ui.page.getByRole("row").filter({ hasText: "event-manager" }).getByText("Heard").waitFor();
  await ui.screenshots("services");
  assert.deepEqual(await ui.barriers(), []);
});

test("a consumer group of the cluster is shown by partition", async () => {
  await ui.go("/groups");
  await ui.page.getByRole("link", { name: "dispatch.event-manager", exact: true }).click();
  const row = ui.page.getByRole("row").filter({ hasText: `${ORG}.orders` }).first();
  await row.waitFor();
  const { partitions } = await api("GET", "/v1/consumer-groups/dispatch.event-manager");
  const committed = partitions.filter((p) => p.topic === `${ORG}.orders`).map((p) => p.end);
  assert.equal(committed.reduce((a, b) => a + b, 0), published.orders);
  await ui.screenshots("consumer-group");
  assert.deepEqual(await ui.barriers(), []);
});

test("a reader's key sees the board, and is told what it may not do", async () => {
  const { key } = await api("POST", "/v1/iam/keys", { name: `reader-${Date.now()}`, scopes: ["read"] });
  await ui.fresh();
  await ui.signIn(key, "");
  await ui.row("mail").waitFor();
  await ui.go("/subscriptions/mail");
  await ui.page.getByRole("button", { name: "Resume…" }).click();
  await ui.page.getByRole("dialog").getByRole("button", { name: "Resume", exact: true }).click();
  await ui.page.getByRole("alert").getByText("may not").waitFor();
  assert.match(ui.takeFaults().join(), /403/);
  assert.equal((await api("GET", "/v1/subscriptions/mail")).paused, true);
});

// The median time of a frame while the board is scrolled down and up, in ms.
async function scrollFrame() {
  return ui.page.evaluate(async () => {
    const gaps = [];
    let last = performance.now();
    for (let i = 0; i < 120; i++) {
      window.scrollBy(0, i % 20 < 10 ? 800 : -800);
      await new Promise((resolve) => requestAnimationFrame(resolve));
      gaps.push(performance.now() - last);
      last = performance.now();
    }
    return gaps.sort((a, b) => a - b)[60];
  });
}

test("ten thousand subscriptions scroll as smoothly as two hundred", async () => {
  const pattern = (await api("GET", "/v1/lag")).subscriptions.find((row) => row.verdict.severity < 3);
  const frames = {};
  for (const count of [200, 10_000]) {
    await ui.fresh();
    const subscriptions = Array.from({ length: count }, (_, i) => ({ ...pattern, name: `subscription-${String(i).padStart(5, "0")}` }));
    const board = { whole: true, subscriptions, topics: [], subscriptionsRemoved: [], topicsRemoved: [] };
    await ui.page.route("**/v1/lag?follow=true", (route) =>
      route.fulfill({ contentType: "text/event-stream", body: `event: lag\ndata: ${JSON.stringify(board)}\n\n` }),
    );
    await ui.signIn();
    await ui.page.getByText(`All ${count.toLocaleString("en-US")} subscriptions`).waitFor();
    const drawn = await ui.page.locator(".rows-body .row").count();
    assert.ok(drawn < 60, `${drawn} rows are drawn`);
    frames[count] = await scrollFrame();
  }
  console.log(`    median frame ${frames[200].toFixed(1)} ms with 200, ${frames[10_000].toFixed(1)} ms with 10,000`);
  assert.ok(frames[10_000] < 3 * Math.max(16, frames[200]), JSON.stringify(frames));
  await ui.page.evaluate(() => window.scrollTo(0, 5_000 * 48));
  await ui.page.getByRole("link", { name: "subscription-05005", exact: true }).waitFor();
});

test("a dead event-manager is told within 5 s, and its return too", async () => {
  await ui.fresh();
  await ui.signIn();
  await ui.page.getByText("Live", { exact: true }).waitFor();
  await tool("kill", "event-manager");
  try {
    await ui.page.getByRole("alert").getByText("event-manager is not heard since").waitFor({ timeout: SOON * 1000 });
    assert.equal(await ui.page.getByText("subscriptions are well").count(), 0);
    await ui.screenshots("event-manager-dead");
  } finally {
    await tool("restart", "event-manager");
  }
  const ready = performance.now();
  await ui.page.getByText("Live", { exact: true }).waitFor({ timeout: SOON * 1000 });
  console.log(`    its return was told after ${((performance.now() - ready) / 1000).toFixed(1)} s`);
});
