// Loads the data, shows it, and refreshes it while the page is visible.

import * as api from "./api.js";
import { HourChart, METRICS } from "./chart.js";
import { Colours } from "./colours.js";
import { Drawer } from "./drawer.js";
import { byId, el, onChoice, showEmpty } from "./dom.js";
import { Clock, number, seconds } from "./format.js";
import { StationList } from "./list.js";
import { StationMap, legend } from "./map.js";
import { emptyMap, showFreshness, showKpis, showNotice, showQuality } from "./panels.js";

const address = new URL(location.href);
const state = {
  systemId: address.searchParams.get("system"),
  stationId: address.searchParams.get("station"),
  hours: 24,
  metric: "bikes",
  order: "empty",
  health: null,
  stations: null,
  totals: null,
  period: null,
  features: null,
  trouble: "",
};

let colours = new Colours();
let clock = new Clock("UTC");
const map = new StationMap(byId("map"), select);
const chart = new HourChart(byId("chart"), showReadout);
const list = new StationList(select);
const drawer = new Drawer((stationId) => {
  select(null);
  list.focus(stationId);
});

const system = () => state.health?.systems.find((row) => row.system_id === state.systemId);
const shown = () => state.stations?.stations ?? [];
const newestS = () => seconds(state.stations?.newest_feed_ts);

let turn = 0;
let timer = 0;
let isDue = false;

async function refresh() {
  clearTimeout(timer);
  isDue = false;
  const mine = ++turn;
  const isCurrent = () => mine === turn;
  let waitS = null;
  try {
    const health = await api.health();
    if (!isCurrent()) return;
    state.health = health;
    chooseSystem();
    showHealth();
    if (system()) await load(isCurrent);
    state.trouble = "";
  } catch (error) {
    if (!(error instanceof api.Unavailable)) throw error;
    state.trouble = error.message;
    waitS = error.retryAfterS;
  } finally {
    if (isCurrent()) timer = setTimeout(refreshWhenSeen, (waitS ?? state.health?.refresh_s ?? 60) * 1000);
  }
  if (!isCurrent()) return;
  byId("board").setAttribute("aria-busy", "false");
  show();
}

function refreshWhenSeen() {
  isDue = document.hidden;
  if (!isDue) refresh();
}

async function load(isCurrent) {
  const { hours } = state;
  const isWanted = state.order === "busiest";
  const [stations, totals, features] = await Promise.all([
    api.stations(state.systemId),
    api.totals(state.systemId, hours),
    isWanted ? api.features(state.systemId) : state.features,
  ]);
  if (isCurrent()) Object.assign(state, { stations, totals, features, period: { endS: seconds(totals.newest_feed_ts ?? totals.generated_ts), hours } });
}

function chooseSystem() {
  const systems = state.health.systems;
  if (!system()) {
    const newestFirst = [...systems].sort((a, b) => (seconds(b.newest_feed_ts) ?? 0) - (seconds(a.newest_feed_ts) ?? 0));
    state.systemId = newestFirst[0]?.system_id ?? null;
  }
  const select = byId("system");
  const options = systems.map((row) =>
    el("option", { value: row.system_id }, row.city_id === "unknown" ? row.system_id : `${row.system_id} (${row.city_id})`),
  );
  select.replaceChildren(...options);
  select.value = state.systemId;
  select.disabled = systems.length < 2;
}

function showHealth() {
  const row = system();
  clock = new Clock(row?.timezone ?? "UTC");
  tick();
  if (!row) return;
  byId("zone").textContent = clock.zone;
  showQuality(row, state.health.topics, clock);
}

function show() {
  showHealth();
  if (!state.stations) return showNothing();
  showKpis(state.stations.summary, state.stations.flow);
  map.show(shown(), colours);
  byId("legend").replaceChildren(...legend(map.mode, colours));
  showEmpty("map-empty", emptyMap(system(), shown(), clock));
  showList();
  showChart();
  if (state.stationId) openDrawer();
}

function showNothing() {
  for (const id of ["map-empty", "chart-empty", "list-empty"]) showEmpty(id, "Nothing to show yet.");
}

function showList() {
  if (!state.stations) return;
  const search = byId("search").value.trim();
  list.show({ stations: shown(), order: state.order, search, features: state.features, newestS: newestS() });
}

function showChart() {
  if (!state.totals) return;
  const rows = state.totals.hours;
  byId("chart").setAttribute("aria-busy", state.period.hours !== state.hours);
  chart.show(rows, state.metric, state.period, colours, clock);
  showEmpty("chart-empty", rows.length ? "" : "There are no snapshots in this period.");
  showReadout(chart.plot?.data.map((column) => column.at(-1)) ?? []);
}

function showReadout([hour, mean, low, high]) {
  byId("chart-readout").textContent =
    mean === null || mean === undefined ? "\u00a0" : `${clock.hour(hour)}: mean ${number(mean)} ${METRICS[state.metric]}, ${number(low)} to ${number(high)}`;
}

function tick() {
  const row = system();
  if (row) showFreshness(row);
  showNotice(state, row, clock);
}

function select(stationId) {
  const isOther = stationId !== state.stationId;
  state.stationId = stationId;
  remember();
  map.select(stationId);
  if (stationId && isOther) openDrawer();
}

function openDrawer() {
  const station = shown().find((one) => one.station_id === state.stationId);
  if (!station) return;
  map.select(state.stationId);
  drawer.open({ system: state.systemId, station, newestS: newestS(), colours, clock });
}

function remember() {
  for (const [name, value] of [["system", state.systemId], ["station", state.stationId]]) {
    if (value) address.searchParams.set(name, value);
    else address.searchParams.delete(name);
  }
  history.replaceState(null, "", address);
}

// Load the page again for another system, so that no data of this one remains.
byId("system").addEventListener("change", (event) => {
  address.search = new URLSearchParams({ system: event.target.value });
  location.assign(address);
});
byId("search").addEventListener("input", showList);
onChoice("map-colour", (mode) => {
  map.setMode(mode);
  byId("legend").replaceChildren(...legend(mode, colours));
});
onChoice("chart-metric", (metric) => {
  state.metric = metric;
  showChart();
});
onChoice("chart-hours", (hours) => {
  state.hours = Number(hours);
  showChart();
  refresh();
});
onChoice("list-order", (order) => {
  state.order = order;
  byId("search").value = "";
  showList();
  if (order === "busiest" && !state.features) refresh();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours = new Colours();
  show();
});
document.addEventListener("visibilitychange", () => {
  if (isDue) refreshWhenSeen();
});
setInterval(tick, 1000);
refresh();
