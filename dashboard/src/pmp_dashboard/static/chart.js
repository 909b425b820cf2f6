// Charts: hourly means with a band from minimum to maximum, and the bikes of one station.

import { number } from "./format.js";

const uPlot = window.uPlot;
const HOUR_S = 3600;
export const METRICS = { bikes: "bikes", docks: "free docks" };

// One column per hour, so that an hour without a poll is a gap in the line.
function hourly(rows, metric) {
  const byHour = new Map(rows.map((row) => [Date.parse(row.hour_ts) / 1000, row]));
  const hours = [...byHour.keys()].sort((a, b) => a - b);
  const columns = [[], [], [], []];
  for (let hour = hours[0]; hour <= hours.at(-1); hour += HOUR_S) {
    const row = byHour.get(hour);
    const values = [`avg_${metric}`, `min_${metric}`, `max_${metric}`].map((name) => row?.[name] ?? null);
    [hour, ...values].forEach((value, i) => columns[i].push(value));
  }
  return columns;
}

export class HourChart {
  constructor(container, onHover) {
    this.container = container;
    this.onHover = onHover;
    new ResizeObserver(() => this.plot?.setSize(size(container))).observe(container);
  }

  // period: {endS, hours}; always drawn in full.
  show(rows, metric, period, colours, clock) {
    this.plot?.destroy();
    this.plot = null;
    const data = hourly(rows, metric);
    const isDrawn = data[0].length > 0;
    if (isDrawn) this.plot = new uPlot(this._options(period, colours, clock), data, this.container);
    const means = data[1].filter((value) => value !== null);
    this.container.setAttribute(
      "aria-label",
      isDrawn
        ? `Hourly means of ${METRICS[metric]}: ${number(Math.min(...means))} to ${number(Math.max(...means))}, last ${number(means.at(-1))}`
        : "No data",
    );
  }

  _options(period, colours, clock) {
    const edge = { stroke: "transparent", points: { show: false } };
    const axis = { stroke: colours.muted, grid: { stroke: colours.line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    return {
      ...size(this.container),
      padding: [8, 20, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), clock.zone),
      scales: { x: { range: () => span(period) } },
      series: [{}, { stroke: colours.series, width: 2, points: { size: 5, fill: colours.series } }, edge, edge],
      bands: [{ series: [3, 2], fill: colours.band }],
      axes: [
        { ...axis, size: 42, space: 56, values: [[86400, "{D} {MMM}", null, null, null, null, null, null, 1], [3600, "{HH}:00", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1]] },
        { ...axis, size: 52, space: 34, values: (_, ticks) => ticks.map((tick) => number(tick)) },
      ],
      hooks: { setCursor: [(plot) => this.onHover(plot.data.map((column) => column[plot.cursor.idx ?? column.length - 1]))] },
    };
  }
}

export class Sparkline {
  constructor(container) {
    this.container = container;
  }

  // A count is valid until the next row, the last one until the system's newest feed time.
  show(history, endS, colours, clock) {
    const times = history.map((row) => Date.parse(row.feed_ts) / 1000);
    const bikes = history.map((row) => row.bikes);
    if (endS > times.at(-1)) {
      times.push(endS);
      bikes.push(bikes.at(-1));
    }
    const axis = { stroke: colours.muted, grid: { stroke: colours.line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    new uPlot(
      {
        width: this.container.clientWidth,
        height: this.container.clientHeight,
        padding: [8, 16, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        tzDate: (s) => uPlot.tzDate(new Date(s * 1000), clock.zone),
        scales: { x: { range: () => span({ endS, hours: 24 }) }, y: { range: (_, __, max) => [0, Math.max(4, max)] } },
        series: [
          {},
          { stroke: colours.series, width: 1.75, fill: colours.band, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
        ],
        axes: [
          { ...axis, size: 28, space: 60, values: [[3600, "{HH}:00", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1]] },
          { ...axis, size: 30, space: 30, incrs: [1, 2, 5, 10, 20, 50] },
        ],
      },
      [times, bikes],
      this.container,
    );
    this.container.setAttribute("aria-label", `Bikes in the last 24 hours: ${Math.min(...bikes)} to ${Math.max(...bikes)}`);
  }
}

const span = ({ endS, hours }) => [endS - hours * HOUR_S, endS];
const size = (container) => ({ width: container.clientWidth, height: container.clientHeight });
