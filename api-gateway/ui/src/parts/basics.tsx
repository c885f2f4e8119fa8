import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { describe } from "../api";

/** A fault that a reader can act on; nothing without one. */
export function Fault({ error, retry }: { error: unknown; retry?: () => void }) {
  if (!error) return null;
  return (
    <p class="fault" role="alert">
      {typeof error === "string" ? error : describe(error)}
      {retry && (
        <button type="button" class="link" onClick={retry}>
          Try again
        </button>
      )}
    </p>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** A column's heading, and the class of its cells. */
export type Column = string | [heading: ComponentChildren, name: string];

/** A table that may be wider than the window, which keyboards scroll; `children` are its rows. */
export function Table(props: { label: string; columns?: Column[]; below?: ComponentChildren; children: ComponentChildren }) {
  return (
    <div class="scroll" role="region" aria-label={props.label} tabIndex={0}>
      <table>
        {props.columns && (
          <thead>
            <tr>
              {props.columns.map((column, i) => {
                const [heading, name] = typeof column === "string" ? [column] : column;
                return (
                  <th key={i} scope="col" class={name}>
                    {heading}
                  </th>
                );
              })}
            </tr>
          </thead>
        )}
        <tbody>{props.children}</tbody>
      </table>
      {props.below}
    </div>
  );
}

/** A label above its figure. */
export function Figure(props: { label: string; title?: string; children: ComponentChildren; tone?: string }) {
  return (
    <div class={`figure ${props.tone ?? ""}`} title={props.title}>
      <dt>{props.label}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

/** A view's heading, with what can be done beside it. */
export function Heading(props: { title: string; above?: ComponentChildren; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${props.title} · Dispatch`;
  }, [props.title]);
  return (
    <header class="heading">
      <div>
        {props.above && <div class="above">{props.above}</div>}
        <h1>{props.title}</h1>
      </div>
      {props.children && <div class="actions">{props.children}</div>}
    </header>
  );
}

export interface Loaded<T> {
  value: T | null;
  error: unknown;
  busy: boolean;
  reload: () => void;
}

/** What `load` gives, anew when one of `keys` changes; every `every` ms when that is said. */
export function useLoaded<T>(
  load: (signal: AbortSignal) => Promise<T>,
  keys: unknown[],
  every = 0,
): Loaded<T> {
  const state = useSignal<{ value: T | null; error: unknown; busy: boolean }>({
    value: null,
    error: null,
    busy: true,
  });
  const turn = useSignal(0);
  useEffect(() => {
    const control = new AbortController();
    let timer = 0;
    const run = async () => {
      state.value = { ...state.value, busy: true };
      try {
        state.value = { value: await load(control.signal), error: null, busy: false };
      } catch (error) {
        if (control.signal.aborted) return;
        state.value = { ...state.value, error, busy: false };
      }
      if (every > 0 && !control.signal.aborted) timer = window.setTimeout(run, every);
    };
    void run();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [...keys, turn.value]);
  return { ...state.value, reload: () => turn.value++ };
}

/** A change that the reader asks for: busy while it runs, its fault beside the button. */
export function useAct(): { busy: boolean; error: unknown; run: (act: () => Promise<void>) => void } {
  const busy = useSignal(false);
  const error = useSignal<unknown>(null);
  const run = async (act: () => Promise<void>) => {
    if (busy.value) return;
    busy.value = true;
    error.value = null;
    try {
      await act();
    } catch (fault) {
      error.value = fault;
    }
    busy.value = false;
  };
  return { busy: busy.value, error: error.value, run };
}
