// Requests the dashboard's JSON. Ages are computed with the server's clock.

const TIMEOUT_MS = 60_000;
let skewMs = 0;

export const nowS = () => (Date.now() + skewMs) / 1000;

export class Unavailable extends Error {
  constructor(message, { cause, retryAfterS = 10 } = {}) {
    super(message, { cause });
    this.retryAfterS = retryAfterS;
  }
}

const TROUBLE = { 429: "Too many stations are being viewed", 503: "BigQuery does not answer" };

async function ask(path) {
  let response;
  let answer;
  try {
    response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), headers: { Accept: "application/json" } });
    setClock(response.headers.get("Date"));
    answer = response.ok ? await response.json() : null;
  } catch (cause) {
    throw new Unavailable("The dashboard does not answer", { cause }); // or the answer was cut off
  }
  if (response.ok) return answer;
  throw new Unavailable(TROUBLE[response.status] ?? `The dashboard answered ${response.status}`, {
    retryAfterS: Number(response.headers.get("Retry-After")) || 10,
  });
}

function setClock(text) {
  const date = Date.parse(text);
  if (!Number.isNaN(date)) skewMs = date - Date.now();
}

const query = (values) => new URLSearchParams(values).toString();

export const health = () => ask("api/health");
export const stations = (system) => ask(`api/stations?${query({ system })}`);
export const totals = (system, hours) => ask(`api/totals?${query({ system, hours })}`);
export const features = (system) => ask(`api/features?${query({ system })}`);
export const station = (system, id) => ask(`api/station/${encodeURIComponent(system)}/${encodeURIComponent(id)}`);
