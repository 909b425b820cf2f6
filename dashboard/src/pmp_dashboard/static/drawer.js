// One station: its counts, its last 24 hours, its features.

import * as api from "./api.js";
import { Sparkline } from "./chart.js";
import { byId, el } from "./dom.js";
import { change, decimal, duration, number, seconds } from "./format.js";
import { nameOf, stateOf } from "./map.js";

const FINDINGS = "Data quality";

export class Drawer {
  constructor(onClose) {
    this.node = byId("drawer");
    this.onClose = onClose;
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.node.hidden) this.close();
    });
  }

  // view: {system, station, newestS, colours, clock}
  async open(view) {
    const { system, station } = view;
    if (this.shown?.system === system && this.shown.id === station.station_id) {
      this.node.querySelector(".badge").replaceWith(badge(station));
      this.node.querySelector(".facts").replaceWith(facts(view));
    } else {
      this.shown = { system, id: station.station_id, isLoaded: false };
      this.more = el("div", { class: "more" }, el("p", { class: "nothing" }, "Loading …"));
      this.node.replaceChildren(this._head(station), facts(view), this.more);
      this.node.hidden = false;
      this.node.querySelector("h2").focus();
    }
    await this._load(view, this.shown);
  }

  close() {
    const { id } = this.shown;
    this.node.hidden = true;
    this.node.replaceChildren();
    this.shown = null;
    this.onClose(id);
  }

  // Drops an answer that arrives when another station is shown; a failure keeps what was loaded.
  async _load({ system, station, newestS, colours, clock }, shown) {
    let answer;
    try {
      answer = await api.station(system, station.station_id);
    } catch (error) {
      if (!(error instanceof api.Unavailable)) throw error;
      if (this.shown === shown && !shown.isLoaded) {
        this.more.replaceChildren(el("p", { class: "nothing" }, `${error.message}; trying again.`));
      }
      return;
    }
    if (this.shown !== shown) return;
    shown.isLoaded = true;
    const spark = el("div", { class: "spark", role: "img" });
    this.more.replaceChildren(el("h3", {}, "Bikes, last 24 hours"), spark, ...features(answer.features, clock));
    if (answer.history.length) new Sparkline(spark).show(answer.history, newestS, colours, clock);
    else spark.replaceWith(el("p", { class: "nothing" }, "No data was recorded in the last 24 hours."));
  }

  _head(station) {
    const close = el("button", { type: "button", class: "close", "aria-label": "Close" }, "×");
    close.addEventListener("click", () => this.close());
    return el("header", {}, el("h2", { id: "drawer-title", tabindex: "-1" }, nameOf(station)), badge(station), close);
  }
}

const badge = (station) => el("span", { class: "badge", "data-state": stateOf(station) }, stateOf(station));

function facts({ station, newestS, clock }) {
  const since = seconds(station.empty_since_ts ?? station.full_since_ts);
  const lines = [
    ["Mechanical", number(station.mechanical)],
    ["E-bikes", number(station.ebikes)],
    ["Free docks", number(station.docks)],
    ["Capacity", number(station.capacity)],
    ["Net flow, 30 min", change(station.net_flow)],
    ["Last recorded", clock.time(station.feed_ts)],
  ];
  if (station.other_vehicles) lines.splice(2, 0, ["Other vehicles", number(station.other_vehicles)]);
  if (since !== null) {
    lines.push([stateOf(station) === "full" ? "Full for" : "Empty for", `${station.may_be_longer ? "≥ " : ""}${duration(newestS - since)}`]);
  }
  if (station.quality.length) lines.push([FINDINGS, station.quality.join(", ").replaceAll("_", " ")]);
  return el(
    "dl",
    { class: "facts" },
    ...lines.map(([label, value]) =>
      el("div", { class: label === FINDINGS ? "findings" : null }, el("dt", {}, label), el("dd", {}, value)),
    ),
  );
}

function features({ as_of: asOf, values }, clock) {
  const rows = Object.entries(values).map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, name.replaceAll("_", " ")), el("td", {}, decimal(value))),
  );
  const body = rows.length
    ? el("table", { class: "features", "aria-label": "Features" }, el("tbody", {}, ...rows))
    : el("p", { class: "nothing" }, "No features have been computed for this station.");
  return [el("h3", {}, "Features", asOf ? el("small", {}, ` as of ${clock.time(asOf)}`) : ""), body];
}
