// The stations of the map as a list, for the keyboard, in a chosen order.

import { byId, el, showEmpty } from "./dom.js";
import { duration, number, plain, seconds } from "./format.js";
import { nameOf, stateOf } from "./map.js";

const SHOWN = 40;
const TURNOVER = "turnover_24h";

export class StationList {
  constructor(onSelect) {
    this.onSelect = onSelect;
    byId("list").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) onSelect(button.dataset.station);
    });
  }

  // Focuses the station's row, or the search field if the row is gone.
  focus(stationId) {
    const row = byId("list").querySelector(`[data-station="${CSS.escape(stationId)}"]`);
    (row ?? byId("search")).focus();
  }

  // features: the answer of /api/features, or null before it has arrived.
  show({ stations, order, search, features, newestS }) {
    const found = search ? matching(stations, search) : ordered(stations, order, features, newestS);
    const rows = found.slice(0, SHOWN).map(({ station, note }) => item(station, note));
    const focused = document.activeElement?.closest("#list button")?.dataset.station;
    if (found.length > SHOWN) rows.push(el("li", { class: "nothing" }, `${number(found.length - SHOWN)} more; search by name.`));
    byId("list").replaceChildren(...rows);
    if (focused !== undefined) this.focus(focused);
    showEmpty("list-empty", rows.length ? "" : nothing(stations, order, search, features));
  }
}

function matching(stations, search) {
  const wanted = plain(search);
  return stations
    .filter((station) => plain(`${nameOf(station)} ${station.station_id}`).includes(wanted))
    .sort((a, b) => nameOf(a).localeCompare(nameOf(b)))
    .map((station) => ({ station, note: stateOf(station) }));
}

function ordered(stations, order, features, newestS) {
  if (order === "busiest") {
    return stations
      .map((station) => ({ station, moved: features?.features[station.station_id]?.[TURNOVER] ?? 0 }))
      .filter(({ moved }) => moved > 0)
      .sort((a, b) => b.moved - a.moved)
      .map(({ station, moved }) => ({ station, note: `${number(moved)} moved` }));
  }
  const sinceOf = (station) => seconds(order === "empty" ? station.empty_since_ts : station.full_since_ts);
  return stations
    .filter((station) => station.is_reporting && station[`is_${order}`])
    .sort((a, b) => sinceOf(a) - sinceOf(b) || (b.capacity ?? 0) - (a.capacity ?? 0))
    .map((station) => ({
      station,
      note: `${station.may_be_longer ? "≥ " : ""}${duration(newestS - sinceOf(station))}`,
    }));
}

function nothing(stations, order, search, features) {
  if (!stations.length) return "No stations to list.";
  if (search) return "No station matches this name or id.";
  if (order !== "busiest") return `No open station is ${order}.`;
  return features ? "No features have been computed for this time." : "Loading features …";
}

function item(station, note) {
  const counts = `${number(station.bikes)} bikes · ${number(station.docks)} docks`;
  return el(
    "li",
    {},
    el(
      "button",
      { type: "button", "data-station": station.station_id, "data-state": stateOf(station) },
      el("span", { class: "name" }, nameOf(station)),
      el("span", { class: "counts" }, counts),
      el("span", { class: "note" }, note),
    ),
  );
}
