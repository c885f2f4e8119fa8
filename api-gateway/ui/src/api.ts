// The gateway's REST API: requests with the session's key, and server-sent events over fetch, which
// can carry the key in a header where EventSource cannot.
import { type Session, session, signOut } from "./session";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly details: { field: string; reason: string }[] = [],
  ) {
    super(message);
  }
}

export function describe(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  return "the gateway does not answer";
}

function headersOf(who: Session | null, more: Record<string, string> = {}): Headers {
  const headers = new Headers(more);
  if (who) headers.set("Authorization", `Bearer ${who.key}`);
  if (who?.org) headers.set("X-Dispatch-Org", who.org);
  return headers;
}

async function fail(answer: Response): Promise<never> {
  let message = `HTTP ${answer.status}`;
  let details = [];
  try {
    const body = await answer.json();
    message = body.message ?? message;
    details = body.details ?? [];
  } catch {
    // no JSON: the status says it
  }
  if (answer.status === 401 && session.value) signOut("The key is not valid any more.");
  throw new ApiError(answer.status, message, details);
}

export interface Answer<T> {
  body: T;
  next: string; // the cursor of the next page, or empty
}

export interface Ask {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  as?: Session; // before it is the session
}

/** Path from /v1 on. Throws ApiError for what is not 2xx. */
export async function request<T>(path: string, ask: Ask = {}): Promise<Answer<T>> {
  const headers = headersOf(ask.as ?? session.value, ask.headers);
  let body: string | undefined;
  if (ask.body !== undefined) {
    body = typeof ask.body === "string" ? ask.body : JSON.stringify(ask.body);
    if (!headers.has("Content-Type")) headers.set("Content-Type", "application/json");
  }
  const answer = await fetch(path, { method: ask.method ?? "GET", headers, body, signal: ask.signal });
  if (!answer.ok) await fail(answer);
  const link = answer.headers.get("Link") ?? "";
  const next = /[?&]cursor=([^&>]+)[^>]*>; *rel="?next/.exec(link)?.[1] ?? "";
  const text = await answer.text();
  return { body: (text ? JSON.parse(text) : null) as T, next: decodeURIComponent(next) };
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await request<T>(path, { signal })).body;
}

export async function post<T>(path: string, body: unknown = {}): Promise<T> {
  return (await request<T>(path, { method: "POST", body })).body;
}

/** A path with its names escaped: at`/v1/topics/${name}`. */
export function at(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  return parts.reduce((all, part, i) => all + encodeURIComponent(String(values[i - 1])) + part);
}

export interface StreamEvent {
  type: string; // "message" without a name
  data: string;
}

/** Reads a stream until it ends, or `signal` says so. Throws ApiError when it is refused. */
async function readStream(
  path: string,
  lastId: { value: string },
  signal: AbortSignal,
  onOpen: () => void,
  onEvent: (event: StreamEvent) => void,
): Promise<void> {
  const headers = headersOf(session.value, lastId.value ? { "Last-Event-ID": lastId.value } : {});
  const answer = await fetch(path, { headers, signal, cache: "no-store" });
  if (!answer.ok || !answer.body) await fail(answer);
  onOpen();
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    let end: number;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const event = { type: "message", data: "" };
      for (const line of rest.slice(0, end).split("\n")) {
        if (line.startsWith("id: ")) lastId.value = line.slice(4);
        else if (line.startsWith("event: ")) event.type = line.slice(7);
        else if (line.startsWith("data: ")) event.data += line.slice(6);
      }
      rest = rest.slice(end + 2);
      if (event.data) onEvent(event);
    }
  }
}

export interface Following {
  onOpen?: () => void;
  onEvent: (event: StreamEvent) => void;
  /** Between two connections; `refused` is not tried again. */
  onBreak?: (reason: string, refused: boolean) => void;
}

/** Follows a stream and takes it up again where it broke, until the returned function is called. */
export function follow(path: string, following: Following): () => void {
  const control = new AbortController();
  const lastId = { value: "" };
  const run = async () => {
    let wait = 500;
    while (!control.signal.aborted) {
      try {
        const opened = () => {
          wait = 500;
          following.onOpen?.();
        };
        await readStream(path, lastId, control.signal, opened, following.onEvent);
        following.onBreak?.("the connection ended", false);
      } catch (error) {
        if (control.signal.aborted) return;
        const refused = error instanceof ApiError && error.status < 500 && error.status !== 429;
        following.onBreak?.(describe(error), refused);
        if (refused) return;
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, 5000);
    }
  };
  void run();
  return () => control.abort();
}
