// Freshness, sums over the system, data quality.

import { nowS } from "./api.js";
import { byId, el } from "./dom.js";
import { change, duration, number, percent, plural, seconds } from "./format.js";

const STALE_FEED_S = 10 * 60;
const STALE_POLL_S = 10 * 60;

function freshness(system) {
  const feedS = seconds(system?.newest_feed_ts);
  const pollS = seconds(system?.last_poll_ts);
  const feedAge = feedS === null ? null : nowS() - feedS;
  const pollAge = pollS === null ? null : nowS() - pollS;
  const isStale = feedAge === null || feedAge > STALE_FEED_S;
  const isSilent = pollAge === null || pollAge > STALE_POLL_S;
  const ages = [
    feedAge === null ? "no snapshot yet" : feedAge < -60 ? `feed ${duration(-feedAge)} ahead` : `feed ${duration(feedAge)} old`,
    pollAge === null ? "no poll in 7 days" : `polled ${duration(pollAge)} ago`,
  ];
  return { state: isStale ? "stale" : isSilent ? "silent" : "live", isStale, isSilent, text: ages.join(" · ") };
}

export function showFreshness(system) {
  const found = freshness(system);
  byId("freshness").dataset.state = found.state;
  byId("freshness-text").textContent = `${{ live: "Live", silent: "No polls", stale: "Stale" }[found.state]}: ${found.text}`;
  byId("board").classList.toggle("is-stale", found.isStale);
}

export function showNotice({ trouble, stations, health }, system, clock) {
  let text = "";
  if (trouble) text = `${trouble}; trying again.${since(stations)}`;
  else if (system) text = staleNotice(system, clock);
  else if (health) text = "There are no systems yet. A system appears after the collector has polled it.";
  const notice = byId("notice");
  if (notice.textContent !== text) notice.textContent = text;
  notice.hidden = !text;
}

// Without seconds, because screen readers announce every change of the notice.
function since(stations) {
  if (!stations) return "";
  const ageS = nowS() - seconds(stations.generated_ts);
  return ` The data shown is from ${ageS < 60 ? "less than a minute" : duration(ageS)} ago.`;
}

function staleNotice(system, clock) {
  const { isStale, isSilent } = freshness(system);
  if (!system.newest_feed_ts) return `No snapshot of ${system.system_id} has been accepted yet.`;
  if (isStale) return `The feed has stopped: its newest snapshot is from ${clock.full(system.newest_feed_ts)}, and so is the data shown.`;
  return isSilent ? "The collector has not polled this feed for at least 10 minutes." : "";
}

export function emptyMap(system, stations, clock) {
  if (stations.some((station) => station.lat !== null)) return "";
  if (stations.length) return `${number(stations.length)} stations report, but their positions are not known yet: station information is collected once a day.`;
  return system.newest_feed_ts
    ? `No station has reported in the last 3 days. The newest snapshot is from ${clock.full(system.newest_feed_ts)}.`
    : "No snapshot has been accepted yet.";
}

export function showKpis(summary, flow) {
  const s = summary;
  const open = s.stations_reporting - s.closed;
  const places = s.bikes === null || s.docks === null ? null : s.bikes + s.docks;
  const share = (count) => (count !== null && open > 0 ? `${percent(count / open)} of open stations` : "");
  const cards = [
    kpi("Bikes", number(s.bikes), split(s), "wide"),
    kpi("Free docks", number(s.docks), places ? `${percent(s.docks / places)} of places` : ""),
    kpi(
      "Stations reporting",
      number(s.stations_reporting),
      s.stations_known ? `of ${number(s.stations_known)}, ${percent(s.coverage_ratio)} coverage` : "no station information",
    ),
    kpi("Empty", number(s.empty), share(s.empty), "empty"),
    kpi("Full", number(s.full), share(s.full), "full"),
    kpi(
      "Net flow, 30 min",
      change(flow?.net),
      flow ? `${plural(flow.dropoffs, "return")}, ${plural(flow.pickups, "pickup")}` : "no rides derived",
      "flow",
    ),
  ];
  byId("kpis").replaceChildren(...cards);
}

function kpi(label, value, detail, kind) {
  return el(
    "div",
    { class: `kpi ${kind ?? ""}` },
    el("dt", {}, label),
    el("dd", {}, el("span", { class: "value" }, value), el("span", { class: "detail" }, detail)),
  );
}

function split({ bikes, mechanical, ebikes, other_vehicles: other }) {
  if (bikes === null) return "";
  if (!bikes || (mechanical === null && ebikes === null)) return "types unknown";
  const bar = el("span", { class: "split", "aria-hidden": "true" }, el("i"));
  bar.style.setProperty("--share", (mechanical ?? 0) / bikes);
  const parts = [`${number(mechanical)} mechanical`, `${number(ebikes)} e-bikes`];
  if (other) parts.push(`${number(other)} other`);
  const last = parts.length - 1;
  return el("span", {}, bar, ...parts.map((part, i) => el("span", { class: "part" }, i < last ? `${part} · ` : part)));
}

export function showQuality(system, topics, clock) {
  const sum = (name) => topics.reduce((total, topic) => total + (topic[name] ?? 0), 0);
  const checked = topics.map((topic) => topic.reconciled_until_ts).filter(Boolean).sort();
  const missing = sum("missing_messages");
  const items = [
    fact("Polls", system.polls_24h, system.failed_polls_24h ? `${number(system.failed_polls_24h)} failed` : "none failed", system.failed_polls_24h > 0),
    fact("Accepted", system.accepted_24h, "snapshots"),
    fact("Suspect", system.suspect_24h, "not used", system.suspect_24h > 0),
    fact("Late", system.out_of_order_24h, "out of order", system.out_of_order_24h > 0),
    fact("Dead letters", sum("dead_letters_24h"), "in all topics", sum("dead_letters_24h") > 0),
    fact("Missing", checked.length ? missing : null, checked.length ? `until ${clock.time(checked[0])}` : "not checked yet", missing > 0),
  ];
  byId("quality").replaceChildren(...items);
  byId("topics").replaceChildren(
    el("thead", {}, row("th", ["Topic", "Dead letters", "Missing", "Surplus", "Reconciled until"])),
    el("tbody", {}, ...topics.map((topic) =>
      row("td", [
        topic.topic,
        number(topic.dead_letters_24h),
        number(topic.missing_messages),
        number(topic.surplus_messages),
        clock.time(topic.reconciled_until_ts),
      ]),
    )),
  );
}

const row = (cell, [name, ...texts]) =>
  el("tr", {}, el("th", { scope: cell === "th" ? "col" : "row" }, name), ...texts.map((text) => el(cell, cell === "th" ? { scope: "col" } : {}, text)));

function fact(label, value, detail, isOdd = false) {
  return el(
    "div",
    { class: isOdd ? "odd" : null },
    el("dt", {}, label),
    el("dd", {}, el("span", { class: "value" }, number(value)), el("span", { class: "detail" }, isOdd ? `⚠ ${detail}` : detail)),
  );
}
