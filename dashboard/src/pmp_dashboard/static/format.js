// Formats numbers and times for people; an unknown number is a dash, never a zero.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const signed = new Intl.NumberFormat("en", { signDisplay: "exceptZero" });
const ratio = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });

const known = (format) => (value) => (value === null || value === undefined ? "–" : format.format(value));

export const number = known(whole);
export const decimal = (value) => known(precise)(value).replace("-", "−");
export const change = (value) => known(signed)(value).replace("-", "−");
export const percent = known(ratio);

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

// Two units at most: 45 s, 12 min, 3 h 05 min, 2 d 4 h.
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export const seconds = (ts) => (ts ? Date.parse(ts) / 1000 : null);

// The system's time zone, or UTC if the browser does not know it.
export class Clock {
  constructor(zone) {
    this.zone = supported(zone) ? zone : "UTC";
    const format = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: this.zone, ...options });
    this._time = format({ hour: "2-digit", minute: "2-digit" });
    this._full = format({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
    this._hour = format({ weekday: "short", hour: "2-digit", minute: "2-digit" });
  }

  time = (ts) => (ts ? this._time.format(new Date(ts)) : "–");
  full = (ts) => (ts ? `${this._full.format(new Date(ts))} (${this.zone})` : "–");
  hour = (s) => this._hour.format(new Date(s * 1000));
}

function supported(zone) {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone: zone }));
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

export const plain = (text) => text.normalize("NFD").replace(/\p{Diacritic}/gu, "").toLowerCase();
