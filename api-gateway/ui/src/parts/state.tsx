// States as a word with a mark and a tone: colour never says anything alone.
const TONES: Record<string, [tone: string, mark: string, word: string]> = {
  OK: ["good", "✓", "OK"],
  PAUSED: ["quiet", "‖", "Paused"],
  DISABLED: ["quiet", "⊘", "Disabled"],
  BUSY: ["info", "▸", "Busy"],
  SLOW: ["warn", "▾", "Slow"],
  SKEWED: ["warn", "◣", "Skewed"],
  FAILING: ["warn", "!", "Failing"],
  STALLED: ["bad", "■", "Stalled"],
  RETENTION_RISK: ["bad", "◔", "At risk"],
  STOPPED: ["bad", "✕", "Stopped"],
  LOSING: ["bad", "↧", "Losing"],
  READY: ["good", "✓", "Ready"],
  CREATING: ["info", "▸", "Creating"],
  UPDATING: ["info", "▸", "Updating"],
  DELETING: ["quiet", "⊘", "Deleting"],
  INITIALIZED: ["info", "▸", "Queued"],
  ERROR: ["bad", "✕", "Error"],
  DELIVERED: ["good", "✓", "Delivered"],
  PENDING: ["info", "▸", "Pending"],
  RETRYING: ["warn", "↻", "Retrying"],
  SCHEDULED: ["quiet", "◷", "Scheduled"],
  DEAD_LETTERED: ["bad", "✕", "Dead letter"],
  BEFORE_START: ["quiet", "·", "Before start"],
  UNREAD: ["info", "·", "Unread"],
  NO_RECORD: ["quiet", "·", "No record"],
  RUNNING: ["info", "▸", "Running"],
  DONE: ["good", "✓", "Done"],
  CANCELLED: ["quiet", "⊘", "Cancelled"],
  delivered: ["good", "✓", "Delivered"],
  retry: ["warn", "↻", "Retry"],
  "dead-lettered": ["bad", "✕", "Dead letter"],
};

export function toneOf(state: string): string {
  return TONES[state]?.[0] ?? "quiet";
}

export function wordOf(state: string): string {
  return TONES[state]?.[2] ?? state;
}

export function State({ state }: { state: string }) {
  const [tone, mark, word] = TONES[state] ?? ["quiet", "·", state];
  return (
    <span class={`state ${tone}`}>
      <span class="mark" aria-hidden="true">
        {mark}
      </span>
      {word}
    </span>
  );
}
