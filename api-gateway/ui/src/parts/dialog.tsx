import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Fault, useAct } from "./basics";

interface Props {
  title: string;
  word: string; // of the button that does it
  command?: string; // the same on the command line
  act: () => Promise<void>;
  close: () => void;
  children: ComponentChildren;
}

/** Asks before something is changed; closes when it is done. */
export function Confirm(props: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const doing = useAct();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={props.close}>
      <h2 id="dialog-title">{props.title}</h2>
      {props.children}
      {props.command && (
        <p class="dim">
          The same by command: <code>{props.command}</code>
        </p>
      )}
      <Fault error={doing.error} />
      <div class="actions">
        <button type="button" onClick={props.close}>
          Leave it
        </button>
        <button type="button" class="primary" disabled={doing.busy}
          onClick={() => doing.run(async () => {
            await props.act();
            props.close();
          })}>
          {doing.busy ? "Working…" : props.word}
        </button>
      </div>
    </dialog>
  );
}
