// Dead letters by cause, and sending them again: counted first, at a rate, watched, and stoppable.
import { useSignal } from "@preact/signals";
import { at, get, post, request } from "../api";
import { count, counted, moment, pretty, rate } from "../format";
import { lagRows, loaded } from "../lag";
import type { Letter, Redrive } from "../model";
import { Empty, Fault, Heading, Table, useAct, useLoaded } from "../parts/basics";
import { Confirm } from "../parts/dialog";
import { State } from "../parts/state";
import { link, query, setQuery } from "../router";

const PAGE = 1000;
const MOST = 5000; // letters that are looked at to group them, the oldest first

interface Sample {
  letters: Letter[];
  complete: boolean;
}

async function sample(subscription: string, filter: Record<string, string>, signal?: AbortSignal): Promise<Sample> {
  const letters: Letter[] = [];
  let cursor = "";
  do {
    const search = new URLSearchParams({ ...filter, limit: String(PAGE) });
    if (cursor) search.set("cursor", cursor);
    const page = await request<Letter[]>(at`/v1/subscriptions/${subscription}/dead-letters?` + search, { signal });
    letters.push(...page.body);
    cursor = page.next;
  } while (cursor && letters.length < MOST);
  return { letters, complete: !cursor };
}

interface Cause {
  key: string;
  reason: string;
  status: number;
  type: string;
  message: string;
  letters: Letter[];
}

/** By why, by what the endpoint said last, and by what kind of event. */
function causesOf(letters: Letter[]): Cause[] {
  const causes = new Map<string, Cause>();
  for (const letter of letters) {
    const key = `${letter.reason}/${letter.lastStatus}/${letter.eventType}`;
    const known = causes.get(key);
    if (known) {
      known.letters.push(letter);
      known.message = letter.message; // of the newest
    } else {
      const { reason, lastStatus, eventType, message } = letter;
      causes.set(key, { key, reason, status: lastStatus, type: eventType, message, letters: [letter] });
    }
  }
  return [...causes.values()].sort((a, b) => b.letters.length - a.letters.length);
}

function filterOf(cause: Cause): Record<string, string | number> {
  return { reason: cause.reason, status: cause.status, type: cause.type };
}

function RedriveDialog(props: { subscription: string; cause: Cause | null; known: number; exact: boolean; done: () => void; close: () => void }) {
  const speed = useSignal("10");
  const { subscription, cause } = props;
  const filter = cause ? filterOf(cause) : {};
  const perSecond = Number(speed.value);
  const valid = Number.isInteger(perSecond) && perSecond > 0;
  const flags = Object.entries(filter).map(([name, value]) => ` --${name} ${value}`).join("") || " --all";
  return (
    <Confirm title={`Deliver ${props.exact ? "" : "more than "}${counted(props.known, "dead letter")} again?`} word="Redrive" close={props.close}
      command={`dispatch dead-letters redrive ${subscription}${flags}${valid ? ` --rate ${perSecond}/s` : ""}`}
      act={async () => {
        if (!valid) throw "The speed must be a whole number of events a second.";
        await post(at`/v1/subscriptions/${subscription}/dead-letters/redrive`, { filter, rate: { events: perSecond, per: "1s" } });
        props.done();
      }}>
      <p>
        To the endpoint of <b>{subscription}</b>
        {cause ? (
          <>
            , those that ended as <b>{cause.reason}</b> with {cause.status || "no answer"} and type <code>{cause.type}</code>.
          </>
        ) : (
          ", all of them."
        )}{" "}
        What fails again becomes a dead letter again; stopping loses nothing.
      </p>
      <label>
        Events a second
        <input type="number" min="1" step="1" value={speed.value} onInput={(event) => (speed.value = event.currentTarget.value)} />
      </label>
      {valid && <p class="dim">About {Math.max(1, Math.ceil(props.known / perSecond))} s at this speed.</p>}
    </Confirm>
  );
}

function Redrives({ subscription, turn, changed }: { subscription: string; turn: number; changed: () => void }) {
  const list = useLoaded(
    (signal) => get<Redrive[]>(at`/v1/subscriptions/${subscription}/dead-letters/redrive?limit=5`, signal),
    [subscription, turn],
    1000,
  );
  const cancelling = useAct();
  if (list.error) return <Fault error={list.error} />;
  if (!list.value?.length) return null;
  return (
    <>
      <h2>Redrives</h2>
      <Fault error={cancelling.error} />
      <Table label="Redrives" columns={["Begun", "State", "Which", ["Speed", "num"], ["Sent again", "grow"], ""]}>
        {list.value.map((one) => (
          <tr key={one.id}>
            <td class="fit">{moment(one.createdTime)}</td>
            <td>
              <State state={one.state} />
            </td>
            <td class="text">{Object.entries(one.filter ?? {}).map(([name, value]) => `${name} ${value}`).join(", ") || "all"}</td>
            <td class="num">{one.rate ? rate(one.rate.events) : "–"}</td>
            <td class="grow">
              {count(one.moved)} of {count(one.total)}
              <progress max={Math.max(1, one.total)} value={one.moved} aria-label="Sent again" />
            </td>
            <td class="num">
              {one.state === "RUNNING" && (
                <button type="button" class="link" disabled={cancelling.busy}
                  onClick={() => cancelling.run(async () => {
                    await request(at`/v1/subscriptions/${subscription}/dead-letters/redrive/${one.id}`, { method: "DELETE" });
                    list.reload();
                    changed();
                  })}>
                  Cancel
                </button>
              )}
            </td>
          </tr>
        ))}
      </Table>
    </>
  );
}

function LetterDetails({ subscription, letter }: { subscription: string; letter: Letter }) {
  const whole = useLoaded((signal) => get<Letter>(at`/v1/subscriptions/${subscription}/dead-letters/${letter.id}`, signal), [letter.id]);
  return (
    <>
      <Fault error={whole.error} />
      {whole.value?.event && <pre>{pretty(whole.value.event)}</pre>}
    </>
  );
}

function CauseLetters({ subscription, cause }: { subscription: string; cause: Cause }) {
  const open = useSignal("");
  return (
    <Table label="Dead letters of this cause" columns={["Since", "Event", ["Tries", "num"], "Why"]}
      below={cause.letters.length > 50 && <p class="dim more">The newest 50 of {count(cause.letters.length)}.</p>}>
      {cause.letters.slice(-50).reverse().map((letter) => (
        <tr key={letter.id}>
          <td class="fit">{moment(letter.deadLetteredTime)}</td>
          <td class="text">
            <a href={link(["find"], { topic: letter.topic, partition: letter.partition, offset: letter.offset })} class="mono">
              {letter.eventId}
            </a>
          </td>
          <td class="num">{letter.attempts}</td>
          <td class="text">
            {letter.message}
            {letter.redrive && <span class="dim"> · being redriven</span>}
            <details onToggle={(event) => event.currentTarget.open && (open.value = letter.id)}>
              <summary>Payload</summary>
              {open.value === letter.id && <LetterDetails subscription={subscription} letter={letter} />}
            </details>
          </td>
        </tr>
      ))}
    </Table>
  );
}

function OfSubscription({ subscription }: { subscription: string }) {
  const list = useLoaded((signal) => sample(subscription, {}, signal), [subscription], 4000);
  const redriving = useSignal<{ cause: Cause | null } | null>(null);
  const turn = useSignal(0);
  const open = query.value.get("cause") ?? "";
  if (list.error) return <Fault error={list.error} retry={list.reload} />;
  if (!list.value) return <Empty>Looking…</Empty>;
  const { letters, complete } = list.value;
  const causes = causesOf(letters);
  return (
    <>
      {letters.length === 0 ? (
        <Empty>No dead letters: no event was given up that has not been delivered since.</Empty>
      ) : (
        <>
          <div class="actions spaced">
            <span>
              <b>{complete ? count(letters.length) : `the oldest ${count(letters.length)}`}</b> in{" "}
              {counted(causes.length, "cause")}
            </span>
            <button type="button" onClick={() => (redriving.value = { cause: null })}>
              Redrive all…
            </button>
          </div>
          <Table label="Causes"
            columns={[["Letters", "num"], "Reason", ["Last status", "num"], "Event type", "Newest says", "Since", ""]}>
            {causes.map((cause) => (
              <tr key={cause.key} class={open === cause.key ? "open" : ""}>
                <td class="num">
                  <b>{count(cause.letters.length)}</b>
                </td>
                <td class="fit">
                  <button type="button" class="link" aria-expanded={open === cause.key}
                    onClick={() => setQuery({ cause: open === cause.key ? undefined : cause.key })}>
                    {cause.reason}
                  </button>
                </td>
                <td class="num">{cause.status || "none"}</td>
                <td class="mono">{cause.type}</td>
                <td class="text">{cause.message}</td>
                <td class="fit">{moment(cause.letters[0].deadLetteredTime)}</td>
                <td class="num">
                  <button type="button" class="link" aria-label={`Redrive ${cause.reason} ${cause.status} ${cause.type}`}
                    onClick={() => (redriving.value = { cause })}>
                    Redrive…
                  </button>
                </td>
              </tr>
            ))}
          </Table>
          {causes.filter((cause) => cause.key === open).map((cause) => (
            <section key={cause.key}>
              <h2>
                {cause.reason}, {cause.status || "no answer"}, {cause.type}
              </h2>
              <CauseLetters subscription={subscription} cause={cause} />
            </section>
          ))}
        </>
      )}
      <Redrives subscription={subscription} turn={turn.value} changed={list.reload} />
      {redriving.value && (
        <RedriveDialog subscription={subscription} cause={redriving.value.cause} exact={complete}
          known={(redriving.value.cause ?? { letters }).letters.length}
          done={() => {
            turn.value++;
            list.reload();
          }}
          close={() => (redriving.value = null)} />
      )}
    </>
  );
}

export function Letters() {
  const subscription = query.value.get("subscription") ?? "";
  const rows = lagRows.value
    .filter((row) => row.deadLettered > 0 || row.name === subscription)
    .sort((a, b) => b.deadLettered - a.deadLettered || (a.name < b.name ? -1 : 1));
  return (
    <>
      <Heading title={subscription ? `Dead letters of ${subscription}` : "Dead letters"}
        above={subscription && <a href={link(["dead-letters"])}>Dead letters</a>} />
      {subscription ? (
        <OfSubscription key={subscription} subscription={subscription} />
      ) : rows.length === 0 ? (
        <Empty>{loaded.value ? "No subscription has had a dead letter." : "Looking…"}</Empty>
      ) : (
        <Table label="Subscriptions"
          columns={["Subscription", "Topic", ["Dead-lettered so far", "num"], ["Of matched", "num"], "Now"]}>
          {rows.map((row) => (
            <tr key={row.name}>
              <td>
                <a href={link(["dead-letters"], { subscription: row.name })}>{row.name}</a>
              </td>
              <td class="dim">{row.topic}</td>
              <td class="num">{count(row.deadLettered)}</td>
              <td class="num">{row.matched ? `${((row.deadLettered / row.matched) * 100).toFixed(1)} %` : "–"}</td>
              <td>
                <State state={row.verdict.state} />
              </td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}
