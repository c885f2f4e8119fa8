// What the API answers, as far as views read it (openapi.json has all of it).

export interface Attempt {
  partition: number;
  offset: number;
  attempt: number;
  time: string;
  latencyMs: number;
  status: number;
  outcome: string;
  message?: string;
  answer?: string;
  nextAttempt?: string;
}

/** A key whose first delivery is in the way of others. */
export interface BlockingKey {
  key: string;
  waiting: number;
  since: string | null;
  attempts: number;
  status: number;
  cause?: string;
  nextAttempt: string | null;
  partition: number;
  offset: number;
}

export interface Subscription {
  name: string;
  topic?: string;
  eventType?: string;
  filters?: unknown[];
  function?: string;
  sink?: { url: string; mode?: string };
  ordering?: string;
  maxInFlight?: number;
  timeout?: string;
  rateLimit?: { events: number; per?: string };
  retry?: Record<string, unknown>;
  deadLetterTopic?: string;
  paused?: boolean;
  status: string;
  reason?: string[];
  revision?: number;
}

export interface CloudEvent {
  specversion: string;
  id: string;
  source: string;
  type: string;
  subject?: string;
  time?: string;
  [extension: string]: unknown;
}

export interface Browsed {
  partition: number;
  offset: number;
  time: string;
  event?: CloudEvent;
  error?: string;
}

export interface Topic {
  name: string;
  partitions: number;
  retention?: { time?: string; bytes?: number };
  status: string;
  reason?: string[];
}

export interface Letter {
  id: string;
  topic: string;
  partition: number;
  offset: number;
  reason: string;
  message: string;
  attempts: number;
  lastStatus: number;
  firstAttempt: string;
  lastAttempt: string;
  deadLetteredTime: string;
  eventId: string;
  eventType: string;
  redrive?: string;
  event?: CloudEvent;
}

export interface Redrive {
  id: string;
  subscription: string;
  filter: Record<string, unknown>;
  rate?: { events: number; per?: string };
  state: string;
  message?: string;
  total: number;
  moved: number;
  createdTime: string;
  finishedTime?: string;
}

/** Who an event goes to, in a few words. */
export function target(subscription: Subscription): string {
  if (subscription.sink) return subscription.sink.url;
  return subscription.function ? `function ${subscription.function}` : "–";
}
