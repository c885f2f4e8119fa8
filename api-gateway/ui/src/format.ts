// Figures as people read them. None of these throws; what is not known is a dash.

const COUNT = new Intl.NumberFormat("en-US");

export function count(value: number | null | undefined): string {
  return value == null ? "–" : COUNT.format(value);
}

/** "1 event", "2 events". */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** A length of time in at most two units: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function span(seconds: number | null | undefined): string {
  if (seconds == null || !Number.isFinite(seconds)) return "–";
  if (seconds < 0.05) return "0 s";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole} s`;
  const two = (big: number, bigName: string, small: number, smallName: string) => {
    const rest = Math.floor((whole % big) / small);
    return `${Math.floor(whole / big)} ${bigName}${rest ? ` ${rest} ${smallName}` : ""}`;
  };
  if (whole < 7200) return two(60, "min", 1, "s");
  if (whole < 172800) return two(3600, "h", 60, "min");
  return two(86400, "d", 3600, "h");
}

export function rate(perSecond: number | null | undefined): string {
  if (perSecond == null) return "–";
  if (Number.isInteger(perSecond)) return `${count(perSecond)}/s`;
  if (perSecond < 9.95) return `${perSecond.toFixed(1)}/s`;
  return `${count(Math.round(perSecond))}/s`;
}

export function millis(ms: number | null | undefined): string {
  if (ms == null) return "–";
  return ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : span(ms / 1000);
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** The reader's own time; with the day when it is another one. */
export function moment(time: string | number | Date | null | undefined): string {
  if (!time) return "–";
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time);
  const today = new Date().toDateString() === date.toDateString();
  return today ? CLOCK.format(date) : `${DAY.format(date)} ${CLOCK.format(date)}`;
}

export function secondsSince(time: string | null | undefined, now: number): number | null {
  if (!time) return null;
  return Math.max(0, (now - Date.parse(time)) / 1000);
}

/** JSON with two spaces; a text as it is. */
export function pretty(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
