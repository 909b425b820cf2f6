// The dashboard's own JSON, and the server's clock, by which all ages are told.

const TIMEOUT_MS = 60_000;
let skewMs = 0;

export const nowS = () => (Date.now() + skewMs) / 1000;

export class Unavailable extends Error {
  constructor(message, { cause, retryAfterS = 10 } = {}) {
    super(message, { cause });
    this.retryAfterS = retryAfterS;
  }
}

async function ask(path) {
  let response;
  try {
    response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), headers: { Accept: "application/json" } });
  } catch (cause) {
    throw new Unavailable("The dashboard does not answer", { cause });
  }
  const date = Date.parse(response.headers.get("Date"));
  if (!Number.isNaN(date)) skewMs = date - Date.now();
  if (response.ok) return response.json();
  throw new Unavailable(
    response.status === 503 ? "The warehouse does not answer" : `The dashboard answered ${response.status}`,
    { retryAfterS: Number(response.headers.get("Retry-After")) || 10 },
  );
}

const query = (values) => new URLSearchParams(values).toString();

export const health = () => ask("api/health");
export const stations = (system) => ask(`api/stations?${query({ system })}`);
export const totals = (system, hours) => ask(`api/totals?${query({ system, hours })}`);
export const features = (system) => ask(`api/features?${query({ system })}`);
export const station = (system, id) => ask(`api/station/${encodeURIComponent(system)}/${encodeURIComponent(id)}`);
