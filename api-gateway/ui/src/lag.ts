// The lag board as it is now: followed once for the whole page, while somebody is signed in.
import { batch, computed, effect, signal } from "@preact/signals";
import { at, follow, get } from "./api";
import { moment } from "./format";
import { session } from "./session";

export interface Pending {
  queued: number;
  inFlight: number;
  retrying: number;
  scheduled: number;
}

export interface Place {
  partition: number;
  next: number;
  end: number;
  lag: number;
}

export interface Verdict {
  state: string;
  severity: number;
  text: string;
  cause?: string;
  since?: string;
}

/** GET /v1/lag's rows; times are RFC 3339, rates per second. */
export interface LagRow {
  name: string;
  topic: string;
  matched: number;
  delivered: number;
  deadLettered: number;
  cancelled: number;
  pending: Pending;
  unread: number;
  lost: number;
  evaluationErrors: { events: number; kinds: Record<string, number> };
  mode: string;
  oldestPending: string | null;
  oldestUndelivered: string | null;
  oldestUndeliveredAccuracy: "exact" | "estimated";
  deliveredPerSecond: number;
  arrivingPerSecond: number;
  drainSeconds: number | null;
  retentionSeconds: number | null;
  conservationError: number;
  verdict: Verdict;
  lastFailure?: string;
  failingSince?: string;
  lastSuccess?: string;
  blocked?: { keys: number; waiting: number };
  partitions: Place[];
}

export interface TopicRow {
  name: string;
  partitions: { partition: number; position: number; end: number; lag: number }[];
}

interface Change {
  whole: boolean;
  subscriptions: LagRow[];
  subscriptionsRemoved: string[];
  topics: TopicRow[];
  topicsRemoved: string[];
}

/** What is due and not settled: under way or unread. */
export function outstanding(row: LagRow): number {
  return row.pending.queued + row.pending.inFlight + row.pending.retrying + row.unread;
}

export function pendingOf(row: LagRow): number {
  return row.pending.queued + row.pending.inFlight + row.pending.retrying + row.pending.scheduled;
}

/** matched, less all that became of it: 0 when nothing was lost or counted twice. */
export function imbalance(row: LagRow): number {
  const settled = row.delivered + row.deadLettered + row.cancelled;
  return row.matched - settled - pendingOf(row) || row.conservationError;
}

/** What was outstanding when; null: nobody knows. */
export type Point = [ms: number, outstanding: number | null];

// The last hour: as this page saw it, a flat run as its two ends, and before that as it is stored.
const HOUR = 3_600_000;
const CLOSE = 300_000; // so long all that was seen is kept
const MOST_POINTS = 400;
const history = new Map<string, Point[]>();

export function pointsOf(name: string): Point[] {
  return history.get(name) ?? [];
}

// One point a minute is enough of what is long ago.
function thinned(points: Point[], ms: number): Point[] {
  let kept = 0;
  return points.filter(([at]) => {
    if (at < ms - HOUR || (at < ms - CLOSE && at - kept < 60_000)) return false;
    kept = at;
    return true;
  });
}

function remember(row: LagRow, ms: number): void {
  const points = history.get(row.name) ?? [];
  const value = outstanding(row);
  const [last, before] = [points.at(-1), points.at(-2)];
  if (last && before && last[1] === value && before[1] === value) last[0] = ms;
  else points.push([ms, value]);
  history.set(row.name, points.length > MOST_POINTS ? thinned(points, ms) : points);
}

/** GET /v1/lag/history: a value for each step, null where nobody looked. */
export interface LagHistory {
  from: string;
  to: string;
  stepSeconds: number;
  subscriptions: { name: string; waiting: (number | null)[]; unread?: (number | null)[][] }[];
}

/** Of what is stored, those that are known, and one that is not for each gap. */
export function storedPoints(stored: LagHistory, waiting: (number | null)[]): Point[] {
  const from = Date.parse(stored.from);
  return waiting
    .map((value, i): Point => [from + i * stored.stepSeconds * 1000, value])
    .filter(([, value], i, all) => value != null || (i > 0 && all[i - 1][1] != null));
}

// What is shown is asked for once, a few at a time; what cannot be had now is not missed.
const SOME = 20;
const asked = new Set<string>();
let wanted: string[] = [];
let asking = 0;

async function askForSome(): Promise<void> {
  const names = wanted.splice(0, SOME);
  if (!names.length || !session.value) return void (asking = 0);
  const of = session.value;
  try {
    const query = names.map((name) => at`subscription=${name}`).join("&");
    const stored = await get<LagHistory>(`/v1/lag/history?step=20s&${query}`);
    if (of !== session.value) return;
    for (const { name, waiting } of stored.subscriptions) {
      const seen = pointsOf(name);
      const first = seen[0]?.[0] ?? Date.now();
      history.set(name, [...storedPoints(stored, waiting).filter(([ms]) => ms < first), ...seen]);
    }
    version.value++;
  } catch {
    for (const name of names) asked.delete(name);
  }
  asking = wanted.length ? window.setTimeout(askForSome, 200) : 0;
}

/** The last hour of the subscription is about to be shown. */
export function want(name: string): void {
  if (asked.has(name)) return;
  asked.add(name);
  wanted.push(name);
  asking ||= window.setTimeout(askForSome, 50);
}

const rows = new Map<string, LagRow>();
const topicRows = new Map<string, TopicRow>();
const version = signal(0);
const LOOK_TIME = 4_000; // ms that a look may take before it counts as failed

/** Milliseconds, a second apart: what ages are shown against. */
export const now = signal(Date.now());
/** Whether the board has come, and whether it is of this moment; else why not. */
export const loaded = signal(false);
export const broken = signal("");
/** The last moment that the board was known to be true, in ms. */
export const trueUntil = signal(0);

export const lagRows = computed(() => (version.value, [...rows.values()]));
export const lagTopics = computed(() => (version.value, [...topicRows.values()]));
export function rowOf(name: string): LagRow | undefined {
  return version.value, rows.get(name);
}

function take(change: Change): void {
  const ms = Date.now();
  batch(() => {
    if (change.whole) {
      rows.clear();
      topicRows.clear();
    }
    for (const row of change.subscriptions) {
      rows.set(row.name, row);
      remember(row, ms);
    }
    for (const name of change.subscriptionsRemoved) {
      rows.delete(name);
      history.delete(name);
    }
    for (const topic of change.topics) topicRows.set(topic.name, topic);
    for (const name of change.topicsRemoved) topicRows.delete(name);
    version.value++;
    loaded.value = true;
    broken.value = "";
    trueUntil.value = ms;
  });
}

function breakWith(reason: string, since?: string): void {
  if (!broken.value) trueUntil.value = since ? Date.parse(since) : Date.now() - LOOK_TIME;
  broken.value = since ? `${reason} since ${moment(since)}` : reason;
}

// One stream for each session.
effect(() => {
  rows.clear();
  topicRows.clear();
  history.clear();
  asked.clear();
  wanted = [];
  loaded.value = false;
  broken.value = "";
  if (!session.value) return;
  const stop = follow("/v1/lag?follow=true", {
    onEvent: (event) => {
      if (event.type === "lag") take(JSON.parse(event.data));
      else if (event.type === "stale") {
        const { reason, since } = JSON.parse(event.data);
        breakWith(reason, since);
      }
    },
    // A stream ends once an hour and is taken up again: that is no news.
    onBreak: (reason, refused) => (refused || reason !== "the connection ended") && breakWith(reason),
  });
  const clock = setInterval(() => (now.value = Date.now()), 1000);
  return () => {
    stop();
    clearInterval(clock);
  };
});
