"""The page in a browser, over marts that answer from memory."""

import re
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta

import pytest
from flask import Response, request
from werkzeug.serving import make_server

from pmp_dashboard.app import create_app
from pmp_dashboard.summary import summary
from pmp_runtime.bigquery.queries import BigQueryUnavailable

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
MARKUP = "<img src=x onerror=\"document.title='owned'\">"
NOW = datetime.now(UTC).replace(microsecond=0)
COUNTS = {"bikes": 0, "docks": 20, "mechanical": 0, "ebikes": 0, "other_vehicles": 0, "occupancy": 0.0}
FLAGS = {"is_reporting": True, "is_closed": False, "is_empty": True, "is_full": False, "may_be_longer": False}
TIMES = {
    "feed_ts": NOW,
    "reported_ts": None,
    "empty_since_ts": NOW - timedelta(hours=2, minutes=5),
    "full_since_ts": None,
}
PLACE = {"station_id": MARKUP, "name": MARKUP, "lat": 48.85, "lon": 2.37, "capacity": 20}
STATION = {**PLACE, **COUNTS, **FLAGS, **TIMES, "quality": [MARKUP], "net_flow": -3}
HOUR = {"polls": 60, "avg_empty_stations": 1.0, "avg_full_stations": 0.0, "coverage_ratio": 1.0}
BIKES = {f"{what}_{metric}": 7.0 for what in ("avg", "min", "max") for metric in ("bikes", "docks")}

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is on the PATH"),
]


def moved(value, span):
    """The same with every time as much later."""
    if isinstance(value, dict):
        return {name: moved(part, span) for name, part in value.items()}
    if isinstance(value, list):
        return [moved(part, span) for part in value]
    return value + span if isinstance(value, datetime) else value


class City:
    """One system whose every name is markup; its times are of when it is made, not of when this file was read."""

    def __init__(self, newest=NOW, stations=(STATION,), fail_with=None):
        self.span = datetime.now(UTC).replace(microsecond=0) - NOW
        self.newest = newest if newest is NOW else newest - self.span
        self.rows, self.fail_with = list(stations), fail_with

    def health(self):
        if self.fail_with is not None:
            raise self.fail_with
        counted = dict.fromkeys(
            ("polls_24h", "failed_polls_24h", "accepted_24h", "suspect_24h", "out_of_order_24h"), 12
        )
        system = {"system_id": MARKUP, "city_id": MARKUP, "timezone": "Europe/Paris"}
        system |= {"newest_feed_ts": self.newest, "last_poll_ts": NOW, "stations_known": 2, **counted}
        topic = {"topic": MARKUP, "dead_letters_24h": 1, "reconciled_until_ts": NOW}
        topic |= {"missing_messages": 0, "surplus_messages": 0}
        return moved({"generated_ts": NOW, "systems": [system], "topics": [topic]}, self.span)

    def stations(self, system):
        flow = {"since_ts": NOW, "until_ts": NOW, "pickups": 5, "dropoffs": 2, "net": -3}
        return self._answer(summary=summary(self.rows, 2), flow=flow, stations=self.rows)

    def totals(self, system, hours):
        return self._answer(hours=[HOUR | BIKES | {"hour_ts": self.newest.replace(minute=0, second=0)}])

    def known(self, system):
        return {row["station_id"]: None for row in self.rows}

    def history(self, system, station_id):
        history = [{"feed_ts": NOW - timedelta(hours=2), "bikes": 4}, {"feed_ts": NOW, "bikes": 0}]
        return self._answer(station_id=station_id, history=history)

    def features(self, system):
        return self._answer(as_of=NOW, features={MARKUP: {MARKUP: 1.5}})

    def _answer(self, **parts):
        answer = {"timezone": "Europe/Paris", "newest_feed_ts": self.newest, "generated_ts": NOW} | parts
        return moved(answer, self.span)


@pytest.fixture
def browse(tmp_path):
    """Opens the page over marts; what the browser then has as its document, and what it complained of."""

    def open_page(marts, query=None, change_app=lambda app: None):
        app = create_app(marts, project="p", check_ready=lambda: None, fresh_s=1.0)
        change_app(app)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            done = subprocess.run(
                [
                    BROWSER,
                    *("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
                    *(f"--user-data-dir={tmp_path}", "--virtual-time-budget=15000", "--dump-dom"),
                    f"http://127.0.0.1:{server.server_port}/{query or ''}",
                ],
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
        finally:
            server.shutdown()
            thread.join(10)
            server.server_close()
        complaints = [line for line in done.stderr.splitlines() if re.search(r"CONSOLE|Uncaught", line)]
        return done.stdout, complaints

    return open_page


def text_of(document, element_id):
    """What the element with this id shows."""
    found = re.search(rf'<(\w+)[^>]*\bid="{element_id}".*?</\1>', document, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0])).strip()


def test_names_with_markup_are_shown_as_text_and_nothing_is_refused(browse):
    document, complaints = browse(
        City(), "?station=" + "%3Cimg%20src%3Dx%20onerror%3D%22document.title%3D%27owned%27%22%3E"
    )
    assert complaints == []
    assert "<img" not in document
    assert "<title>Mobility Pulse</title>" in document
    shown = MARKUP.replace("<", "&lt;").replace(">", "&gt;")
    assert document.count(f'">{shown}<') >= 2  # the list's row and the drawer's heading
    assert "2 h 05 min" in text_of(document, "list")


def test_the_page_shows_the_present(browse):
    document, _ = browse(City())
    assert text_of(document, "freshness").startswith("Live: feed ")
    kpis = text_of(document, "kpis")
    assert "Stations reporting 1 of 2, 50% coverage" in kpis
    assert "Net flow, 30 min \u22123 2 returns, 5 pickups" in kpis
    assert "Dead letters 1 ⚠ in all topics" in text_of(document, "quality")
    assert 'aria-label="Hourly means of bikes: 7 to 7, last 7"' in document


def test_an_old_capture_is_shown_as_stale(browse):
    document, complaints = browse(City(datetime(2026, 1, 24, 22, 28, tzinfo=UTC), stations=()))
    assert complaints == []
    assert text_of(document, "freshness").startswith("Stale: feed ")
    assert text_of(document, "map-empty") == (
        "No station has reported in the last 3 days. The newest snapshot is from 24 Jan 2026, 23:28 (Europe/Paris)."
    )


def test_without_bigquery_the_page_says_so(browse):
    document, _ = browse(City(fail_with=BigQueryUnavailable("BigQuery: health: ServiceUnavailable")))
    assert text_of(document, "notice") == "BigQuery does not answer; trying again."
    assert text_of(document, "freshness") == "Waiting for data"


class Spoiling:
    """Changes the first answer to a path.

    Attributes:
        answers: number of answers to this path.
    """

    def __init__(self, path, spoil):
        self.path, self.spoil, self.answers = path, spoil, 0

    def __call__(self, app):
        app.after_request(self._answered)

    def _answered(self, response):
        if request.path == self.path:
            self.answers += 1
            if self.answers == 1:
                self.spoil(response)
        return response


def cut(response):
    length = len(response.get_data())
    response.set_data(response.get_data()[:-20])
    response.headers["Content-Length"] = str(length)


def empty(response):
    response.set_data(b"{}")
    del response.headers["Content-Encoding"]


@pytest.mark.parametrize("path", ["/api/health", "/api/stations"])
def test_after_an_answer_that_was_cut_the_page_asks_again(browse, path):
    spoiling = Spoiling(path, cut)
    document, _ = browse(City(), change_app=spoiling)
    assert spoiling.answers > 1
    assert text_of(document, "freshness").startswith("Live: feed ")
    assert "Stations reporting 1 of 2" in text_of(document, "kpis")
    assert text_of(document, "notice") == ""


def test_a_fault_of_the_page_is_loud_and_not_its_end(browse):
    document, complaints = browse(City(), change_app=Spoiling("/api/stations", empty))
    assert [line for line in complaints if "Uncaught" in line]
    assert "Stations reporting 1 of 2" in text_of(document, "kpis")


HIDING = """
let isHidden = false;
Object.defineProperty(document, "hidden", { get: () => isHidden });
setTimeout(() => (isHidden = true), 5000);
setTimeout(() => {
  isHidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
}, 12000);
"""


def test_a_page_that_was_hidden_when_it_was_to_try_again_does_so_when_it_is_seen(browse):
    asked = []

    def hide(app):
        script = Response(HIDING, mimetype="text/javascript")
        app.add_url_rule("/hiding.js", "script", view_func=lambda: script)

        @app.after_request
        def watch(response):
            if request.path == "/":
                response.direct_passthrough = False
                tag = b'<script src="hiding.js"></script><script defer'
                response.set_data(response.get_data().replace(b"<script defer", tag, 1))
            asked.extend([1] if request.path == "/api/health" else [])
            return response

    marts = City(fail_with=BigQueryUnavailable("BigQuery: health: ServiceUnavailable"))
    browse(marts, change_app=hide)
    assert len(asked) == 2


def test_the_list_says_how_many_it_leaves_out(browse):
    document, _ = browse(City(stations=[STATION | {"station_id": str(number)} for number in range(45)]))
    assert text_of(document, "list").endswith("5 more; search by name.")


DRAWER = """
import { Clock } from "./static/format.js";
import { Colours } from "./static/colours.js";
import { Drawer } from "./static/drawer.js";

const waiting = new Map();
window.fetch = (path) => new Promise((answer) => waiting.set(path, answer));
const answer = (system) => waiting.get(`api/station/${system}/7`)(new Response(JSON.stringify(
  { history: [], features: { as_of: null, values: { [`of ${system}`]: 1 } } })));
const view = (system) => ({ system, newestS: 0, colours: new Colours(), clock: new Clock("UTC"), station:
  { station_id: "7", name: `Square of ${system}`, is_reporting: true, quality: [], feed_ts: null } });
const drawer = new Drawer(() => {});
const opened = [drawer.open(view("first")), drawer.open(view("second"))];
answer("second");
await opened[1];
answer("first");
await opened[0];
document.getElementById("order").textContent = "second, first";
"""
STAGE = """<!doctype html><link rel="icon" href="static/icon.svg"><script defer src="static/vendor/leaflet.js"></script>
<script defer src="static/vendor/uPlot.iife.min.js"></script><script type="module" src="drawer-alone.js"></script>
<aside id="drawer" hidden></aside><p id="order"></p>"""


def test_an_answer_that_comes_late_is_not_shown_for_a_station_of_the_same_id(browse):
    def stage(app):
        app.add_url_rule("/drawer-alone", view_func=lambda: STAGE)
        script = Response(DRAWER, mimetype="text/javascript")
        app.add_url_rule("/drawer-alone.js", "script", view_func=lambda: script)

    document, complaints = browse(City(), "drawer-alone", change_app=stage)
    assert complaints == []
    assert text_of(document, "order") == "second, first"
    assert text_of(document, "drawer-title") == "Square of second"
    assert "of second" in text_of(document, "drawer").split("Features")[1]
    assert "of first" not in text_of(document, "drawer")
