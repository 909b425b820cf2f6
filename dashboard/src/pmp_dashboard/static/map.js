// Stations on a canvas without map tiles: discs around the stations form the ground.

import { el } from "./dom.js";
import { change, number, percent } from "./format.js";

const L = window.L;
const USUAL_SPACING = 26;
const FLOW_AT_END = 8; // bikes in half an hour that get the scale's last colour

export class StationMap {
  constructor(container, onSelect) {
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map = L.map(container, {
      preferCanvas: true,
      attributionControl: false,
      zoomControl: false,
      zoomSnap: 0.25,
      zoomAnimation: !isCalm,
      fadeAnimation: !isCalm,
      maxZoom: 18,
      minZoom: 3,
    });
    L.control.zoom({ position: "topright" }).addTo(this.map);
    L.control.scale({ position: "bottomright", imperial: false }).addTo(this.map);
    this.map.createPane("ground").style.zIndex = 300;
    this.ground = L.layerGroup().addTo(this.map);
    this.groundCanvas = L.canvas({ pane: "ground" });
    this.markers = new Map();
    this.onSelect = onSelect;
    this.mode = "fullness";
    this.map.on("zoomend", () => this._restyle());
    this.map.on("movestart", () => (this.isFitted = false));
    new ResizeObserver(() => this._resize()).observe(container);
  }

  show(stations, colours) {
    const placed = stations.filter((station) => station.lat !== null && station.lon !== null);
    this.colours = colours;
    const layout = placed.map((station) => `${station.station_id}@${station.lat},${station.lon}`).join();
    const isMoved = layout !== this.layout;
    this.layout = layout;
    if (placed.length && !this.bounds) this._fit(placed);
    if (isMoved || this.groundColour !== colours.land) this._drawGround(placed);
    const gone = new Set(this.markers.keys());
    for (const station of placed) {
      gone.delete(station.station_id);
      this._place(station);
    }
    for (const id of gone) {
      this.markers.get(id).remove();
      this.markers.delete(id);
    }
    this._restyle();
  }

  setMode(mode) {
    this.mode = mode;
    this._restyle();
  }

  select(id) {
    this.selected = id;
    this._restyle();
    const marker = this.markers.get(id);
    if (!marker) return;
    marker.bringToFront();
    if (!this.map.getBounds().pad(-0.1).contains(marker.getLatLng())) this.map.panTo(marker.getLatLng());
  }

  // Fits all stations until someone moves the map.
  _fit(placed) {
    this.bounds = L.latLngBounds(placed.map((station) => [station.lat, station.lon]));
    this._fitBounds();
  }

  _fitBounds() {
    this.map.fitBounds(this.bounds, { padding: [18, 18], animate: false, maxZoom: 16 });
    this.fitZoom = this.map.getZoom();
    this.isFitted = true;
  }

  _resize() {
    const { isFitted } = this;
    this.map.invalidateSize({ animate: false });
    if (!isFitted) return;
    this._fitBounds();
    this._restyle();
  }

  _place(station) {
    let marker = this.markers.get(station.station_id);
    if (!marker) {
      marker = L.circleMarker([station.lat, station.lon]).addTo(this.map);
      marker.bindTooltip(() => tooltip(marker.station), { direction: "top", offset: [0, -4] });
      marker.on("click", () => this.onSelect(marker.station.station_id));
      this.markers.set(station.station_id, marker);
    }
    marker.setLatLng([station.lat, station.lon]);
    marker.station = station;
  }

  _restyle() {
    const grow = 1.3 ** (this.map.getZoom() - this.fitZoom);
    const { x: width, y: height } = this.map.getSize();
    const spacing = Math.sqrt((width * height) / (this.markers.size || 1)); // pixels between neighbours
    const dense = Math.min(1.6, Math.max(0.5, spacing / USUAL_SPACING));
    for (const marker of this.markers.values()) {
      const { station } = marker;
      const capacity = station.capacity ?? (station.bikes ?? 0) + (station.docks ?? 0);
      const radius = Math.min(26, Math.max(2, 0.95 * Math.sqrt(capacity || 12) * dense * grow));
      marker.setStyle({ radius, ...this._style(station) });
    }
  }

  // Shape and weight show empty, full and closed too, not only colour.
  _style(station) {
    const { colours } = this;
    const isSelected = station.station_id === this.selected;
    const style = { stroke: true, color: colours.card, weight: 0.75, opacity: 0.9, fillOpacity: 0.92, dashArray: null };
    if (this.mode === "flow") {
      style.fillColor = colours.scale(0.5 + Math.max(-1, Math.min(1, station.net_flow / FLOW_AT_END)) / 2);
      if (!station.net_flow) style.fillOpacity = 0.45;
    } else if (station.is_empty) {
      Object.assign(style, { fillColor: colours.card, color: colours.empty, weight: 2, opacity: 1, fillOpacity: 1 });
    } else if (station.is_full) {
      Object.assign(style, { fillColor: colours.full, color: colours.ink, weight: 1.75, opacity: 1, fillOpacity: 1 });
    } else {
      style.fillColor = colours.scale(station.occupancy ?? 0.5);
    }
    if (station.is_closed || !station.is_reporting) {
      Object.assign(style, { fillColor: colours.card, color: colours.closed, weight: 1, dashArray: "2 2", fillOpacity: 0.4 });
    }
    if (isSelected) Object.assign(style, { color: colours.ink, weight: 3.5, opacity: 1, dashArray: null });
    return style;
  }

  _drawGround(placed) {
    this.groundColour = this.colours.land;
    this.ground.clearLayers();
    const radius = reach(placed);
    const disc = (station, extra, colour) =>
      L.circle([station.lat, station.lon], {
        renderer: this.groundCanvas,
        pane: "ground",
        interactive: false,
        stroke: false,
        radius: radius + extra,
        fillColor: colour,
        fillOpacity: 1,
      }).addTo(this.ground);
    // All rims first, then all land: the visible rest of the rims is the outline.
    for (const station of placed) disc(station, radius * 0.07, this.colours.shore);
    for (const station of placed) disc(station, 0, this.colours.land);
  }
}

// Metres: large enough for the discs of neighbours to join at any density.
function reach(placed) {
  if (placed.length < 2) return 500;
  const metres = 111_320;
  const narrow = Math.cos((placed[0].lat * Math.PI) / 180);
  const nearest = placed.map((one) => {
    let best = Infinity;
    for (const other of placed) {
      if (other === one) continue;
      const square = (one.lat - other.lat) ** 2 + ((one.lon - other.lon) * narrow) ** 2;
      if (square < best) best = square;
    }
    return Math.sqrt(best) * metres;
  });
  nearest.sort((a, b) => a - b);
  return Math.min(4000, Math.max(250, 2.4 * nearest[Math.floor(nearest.length * 0.85)]));
}

export const stateOf = (station) =>
  !station.is_reporting ? "not reporting"
  : station.is_closed ? "closed"
  : station.is_empty ? "empty"
  : station.is_full ? "full"
  : "open";

export const nameOf = (station) => station.name ?? `Station ${station.station_id}`;

function tooltip(station) {
  const state = stateOf(station);
  return el(
    "div",
    {},
    el("strong", {}, nameOf(station)),
    el("br"),
    `${number(station.bikes)} bikes · ${number(station.docks)} docks · ${state === "open" ? percent(station.occupancy) : state}`,
    ...(station.net_flow ? [el("br"), `${change(station.net_flow)} in 30 min`] : []),
  );
}

export function legend(mode, colours) {
  const stops = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const swatch = el("i");
    swatch.style.background = colours.scale(share);
    return swatch;
  });
  const [from, to] = mode === "flow" ? [`−${FLOW_AT_END} bikes`, `+${FLOW_AT_END}`] : ["few bikes", "few docks"];
  const ramp = el("span", { class: "ramp" }, from, el("span", { class: "stops", "aria-hidden": "true" }, ...stops), to);
  const mark = (kind, text) => el("span", { class: "mark" }, el("i", { class: kind, "aria-hidden": "true" }), text);
  const marks = mode === "flow" ? [] : [mark("empty", "empty"), mark("full", "full")];
  return [ramp, ...marks, mark("closed", "closed or silent"), el("span", {}, "size: capacity")];
}
