// One station: its counts, its last 24 hours, its features.

import * as api from "./api.js";
import { Sparkline } from "./chart.js";
import { byId, el } from "./dom.js";
import { change, decimal, duration, number, seconds } from "./format.js";
import { nameOf, stateOf } from "./map.js";

const FINDINGS = "Findings in the data";

export class Drawer {
  constructor(onClose) {
    this.node = byId("drawer");
    this.onClose = onClose;
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.node.hidden) this.close();
    });
  }

  get isOpen() {
    return !this.node.hidden;
  }

  // view: {system, station, newestS, colours, clock}
  async open(view) {
    const { station } = view;
    if (this.shown === station.station_id) {
      this.node.querySelector(".badge").replaceWith(badge(station));
      this.node.querySelector(".facts").replaceWith(facts(view));
    } else {
      this.shown = station.station_id;
      this.more = el("div", { class: "more" }, el("p", { class: "nothing" }, "Loading …"));
      this.node.replaceChildren(this._head(station), facts(view), this.more);
      this.node.hidden = false;
      this.node.querySelector("h2").focus();
    }
    await this._load(view);
  }

  close() {
    const closed = this.shown;
    this.node.hidden = true;
    this.node.replaceChildren();
    this.shown = null;
    this.onClose(closed);
  }

  async _load({ system, station, newestS, colours, clock }) {
    let answer;
    try {
      answer = await api.station(system, station.station_id);
    } catch (error) {
      if (!(error instanceof api.Unavailable)) throw error;
      if (this.shown === station.station_id) this.more.replaceChildren(el("p", { class: "nothing" }, `${error.message}.`));
      return;
    }
    if (this.shown !== station.station_id) return; // another one was opened meanwhile
    const spark = el("div", { class: "spark", role: "img" });
    this.more.replaceChildren(el("h3", {}, "Bikes, last 24 hours"), spark, ...features(answer.features, clock));
    if (answer.history.length) new Sparkline(spark).show(answer.history, newestS, colours, clock);
    else spark.replaceWith(el("p", { class: "nothing" }, "No row of the last 24 hours."));
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
    ["Newest row", clock.time(station.feed_ts)],
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
    ? el("table", { class: "features" }, el("tbody", {}, ...rows))
    : el("p", { class: "nothing" }, "No features have been computed for this station.");
  return [el("h3", {}, "Features", asOf ? el("small", {}, ` as of ${clock.time(asOf)}`) : ""), body];
}
