import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, describe, request } from "../api";
import { signedOutBecause, signIn } from "../session";

export function SignIn() {
  const key = useSignal("");
  const org = useSignal("");
  const busy = useSignal(false);
  const fault = useSignal(signedOutBecause.value);
  useEffect(() => {
    document.title = "Sign in · Dispatch";
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    const given = { key: key.value.trim(), org: org.value.trim() };
    if (!given.key) {
      fault.value = "Give a key.";
      return;
    }
    busy.value = true;
    try {
      await request("/home", { as: given });
      signIn(given);
    } catch (error) {
      const refused = error instanceof ApiError && error.status === 401;
      fault.value = refused ? "This key is not valid." : describe(error);
    }
    busy.value = false;
  };
  return (
    <main class="signin" id="main">
      <form onSubmit={submit}>
        <h1>Dispatch</h1>
        <label>
          API key
          <input type="password" autocomplete="off" spellcheck={false} autofocus required value={key.value}
            aria-describedby="key-note" onInput={(event) => (key.value = event.currentTarget.value)} />
        </label>
        <label>
          Organisation <span class="dim">optional</span>
          <input type="text" autocomplete="off" spellcheck={false} value={org.value} placeholder="the key’s own"
            onInput={(event) => (org.value = event.currentTarget.value)} />
        </label>
        {fault.value && (
          <p class="fault" role="alert">
            {fault.value}
          </p>
        )}
        <button type="submit" class="primary" disabled={busy.value}>
          {busy.value ? "Looking…" : "Sign in"}
        </button>
        <p id="key-note" class="dim">
          The key stays in this tab and is forgotten when you close it. A key with <code>read</code> sees the board;{" "}
          <code>read-runs</code> shows payloads, <code>subscribe</code> changes subscriptions.
        </p>
      </form>
    </main>
  );
}
