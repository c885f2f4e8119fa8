import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { moment } from "./format";
import { broken, loaded, trueUntil } from "./lag";
import { link, path } from "./router";
import { session, signOut } from "./session";
import { Board } from "./views/board";
import { Letters } from "./views/letters";
import { FilterLab } from "./views/filterlab";
import { FindEvent } from "./views/find";
import { FunctionView, Functions } from "./views/functions";
import { GroupView, Groups } from "./views/groups";
import { SendEvent } from "./views/send";
import { Services } from "./views/services";
import { SignIn } from "./views/signin";
import { SubscriptionView } from "./views/subscription";
import { TopicView, Topics } from "./views/topics";

type View = (name: string) => JSX.Element;

// By the first segment of the path; `one` when a second names an object.
const VIEWS: Record<string, { label: string; all: View; one?: View; quiet?: boolean }> = {
  "": { label: "Lag", all: () => <Board /> },
  subscriptions: { label: "Subscriptions", quiet: true, all: () => <Board />, one: (name) => <SubscriptionView key={name} name={name} /> },
  "dead-letters": { label: "Dead letters", all: () => <Letters /> },
  find: { label: "Find event", all: () => <FindEvent /> },
  topics: { label: "Topics", all: () => <Topics />, one: (name) => <TopicView key={name} name={name} /> },
  filters: { label: "Filter lab", all: () => <FilterLab /> },
  send: { label: "Send event", all: () => <SendEvent /> },
  functions: { label: "Functions", all: () => <Functions />, one: (name) => <FunctionView key={name} name={name} /> },
  groups: { label: "Groups", all: () => <Groups />, one: (name) => <GroupView key={name} name={name} /> },
  services: { label: "Services", all: () => <Services /> },
};

function Live() {
  if (broken.value) return <span class="live bad">▲ Not live</span>;
  return (
    <span class="live" role="status">
      <span class="dot" aria-hidden="true" />
      {loaded.value ? "Live" : "Connecting…"}
    </span>
  );
}

/** What is shown is old, and must not look as if it were not. */
function Stale() {
  if (!broken.value) return null;
  return (
    <p class="stale-note" role="alert">
      <b>{loaded.value ? `Figures are of ${moment(trueUntil.value)}.` : "There are no figures."}</b> {broken.value}.{" "}
      <a href={link(["services"])}>See services</a>
    </p>
  );
}

// g, then a letter, goes to a view; ? tells which.
const KEYS: Record<string, string> = { l: "", d: "dead-letters", e: "find", t: "topics", f: "functions", s: "send", c: "groups", v: "services" };

function useKeys() {
  useEffect(() => {
    let armed = 0;
    const onKey = (event: KeyboardEvent) => {
      const typing = (event.target as HTMLElement).closest("input, textarea, select, dialog");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "g") armed = Date.now();
      else if (Date.now() - armed < 1500 && event.key in KEYS) location.hash = link([KEYS[event.key]]);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
}

function Unknown() {
  return (
    <p class="empty">
      There is no such view. <a href={link([])}>To the lag board</a>
    </p>
  );
}

export function App() {
  useKeys();
  const here = path.value.join("/");
  useEffect(() => window.scrollTo(0, 0), [here]);
  if (!session.value) return <SignIn />;
  const [first = "", second] = path.value;
  const view = VIEWS[first];
  const shown = !view ? <Unknown /> : second !== undefined && view.one ? view.one(second) : view.all("");
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => {
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}>
        To the content
      </a>
      <div class="bar">
        <a class="brand" href={link([])}>
          Dispatch
        </a>
        <nav aria-label="Views">
          {Object.entries(VIEWS).map(([key, { label, quiet }]) =>
            quiet ? null : (
              <a key={key} href={link([key])} aria-current={key === first || (key === "" && first === "subscriptions") ? "page" : undefined}>
                {label}
              </a>
            ),
          )}
        </nav>
        <div class="who">
          <Live />
          {session.value.org && <span class="dim">{session.value.org}</span>}
          <button type="button" class="link" onClick={() => signOut()}>
            Sign out
          </button>
        </div>
      </div>
      <Stale />
      <main id="main" tabIndex={-1} class={broken.value ? "stale" : ""}>
        {shown}
      </main>
    </>
  );
}
