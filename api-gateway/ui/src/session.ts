// Who is signed in: an API key, in this tab's sessionStorage only, never in a URL.
import { signal } from "@preact/signals";

export interface Session {
  key: string;
  org: string; // empty: the key's own
}

const STORE = "dispatch.session";

function load(): Session | null {
  try {
    const stored = JSON.parse(sessionStorage.getItem(STORE) ?? "null");
    return stored && typeof stored.key === "string" ? stored : null;
  } catch {
    return null;
  }
}

export const session = signal<Session | null>(load());
/** Why the sign-in page shows, when the reader did not ask for it. */
export const signedOutBecause = signal("");

export function signIn(next: Session): void {
  sessionStorage.setItem(STORE, JSON.stringify(next));
  signedOutBecause.value = "";
  session.value = next;
}

export function signOut(because = ""): void {
  sessionStorage.removeItem(STORE);
  signedOutBecause.value = because;
  session.value = null;
}
