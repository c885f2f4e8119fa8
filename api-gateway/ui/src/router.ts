// Every view has a URL: #/path?query. What is behind the # never reaches a server's log.
import { computed, signal } from "@preact/signals";

function read(): string {
  return location.hash.replace(/^#/, "") || "/";
}

const hash = signal(read());
window.addEventListener("hashchange", () => {
  hash.value = read();
});

// What somebody mistyped is shown as it is.
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** Decoded segments of the path. */
export const path = computed(() => {
  const text = hash.value.split("?")[0];
  return text.split("/").filter(Boolean).map(decode);
});

export const query = computed(() => new URLSearchParams(hash.value.split("?")[1] ?? ""));

export type Params = Record<string, string | number | undefined>;

/** link(["topics", name], {from: "0:12"}) -> "#/topics/name?from=0%3A12" */
export function link(segments: (string | number)[], params: Params = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = segments.map((segment) => encodeURIComponent(String(segment))).join("/");
  return `#/${text}${search.size ? `?${search}` : ""}`;
}

export function go(segments: (string | number)[], params: Params = {}): void {
  location.hash = link(segments, params);
}

/** Changes the query of this view without a step in the history. */
export function setQuery(params: Params): void {
  const merged: Params = Object.fromEntries(query.value);
  history.replaceState(null, "", link(path.value, { ...merged, ...params }));
  hash.value = read();
}
