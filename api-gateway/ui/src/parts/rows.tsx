import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

const BEYOND = 6; // rows that are drawn above and below what is seen

interface Props<T> {
  items: T[];
  keyOf: (item: T) => string;
  /** Pixels, as the style sheet has it. */
  height: number;
  label: string;
  columns: number;
  head: ComponentChildren;
  row: (item: T) => ComponentChildren;
}

/** A table that draws only the rows in the window, however many there are. */
export function VirtualRows<T>(props: Props<T>) {
  const body = useRef<HTMLDivElement>(null);
  const seen = useSignal({ first: 0, last: 40 });
  useLayoutEffect(() => {
    const look = () => {
      const top = body.current?.getBoundingClientRect().top ?? 0;
      const first = Math.max(0, Math.floor(-top / props.height) - BEYOND);
      const last = Math.ceil((window.innerHeight - top) / props.height) + BEYOND;
      if (first !== seen.value.first || last !== seen.value.last) seen.value = { first, last };
    };
    look();
    window.addEventListener("scroll", look, { passive: true });
    window.addEventListener("resize", look);
    return () => {
      window.removeEventListener("scroll", look);
      window.removeEventListener("resize", look);
    };
  }, [props.height, props.items.length]);
  const { first, last } = seen.value;
  return (
    <div class="rows" role="table" aria-label={props.label} aria-rowcount={props.items.length + 1}
      aria-colcount={props.columns}>
      {props.head}
      <div ref={body} role="rowgroup" class="rows-body" style={{ height: `${props.items.length * props.height}px` }}>
        {props.items.slice(first, last).map((item, i) => (
          <div key={props.keyOf(item)} class="row" role="row" aria-rowindex={first + i + 2}
            style={{ transform: `translateY(${(first + i) * props.height}px)`, height: `${props.height}px` }}>
            {props.row(item)}
          </div>
        ))}
      </div>
    </div>
  );
}
