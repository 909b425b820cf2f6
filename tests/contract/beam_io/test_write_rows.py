"""The sink over a strict Storage Write server: every row is durable, or comes out with its reason, or the run fails."""

from dataclasses import replace
from datetime import UTC, datetime

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.util import assert_that, equal_to
from grpc import StatusCode

from pmp_beam.io import WriteRows
from pmp_beam.io.storage import table_path
from pmp_beam.io.write import WriteLimits
from pmp_schema.errors import Reason, SinkUnavailable
from pmp_schema.tables import table
from tests.fakes.storage_write import Answer, EndCall, StorageWriteServer

PATH = table_path("station_status", "p")
AT = datetime(2026, 1, 24, 16, tzinfo=UTC)
QUICK = WriteLimits(append_timeout_s=5, retry_s=10)
RUNNERS = {"bundles": BundleBasedDirectRunner, "fn_api": lambda: "FnApiRunner"}


@pytest.fixture
def server():
    with StorageWriteServer({PATH: table("station_status")}) as running:
        yield running


@pytest.fixture(params=RUNNERS)
def runner(request):
    return RUNNERS[request.param]()


def row(station, **changes):
    return {"system_id": "velib", "station_id": station, "feed_ts": AT, "change": "first"} | changes


def sink(server, limits=QUICK, **options):
    return WriteRows("station_status", project="p", emulator_host=server.address, limits=limits, **options)


def stations(server):
    return sorted(row["station_id"] for row in server.rows(PATH))


def counted(result):
    counters = result.metrics().query(MetricsFilter().with_namespace("pmp_beam.io"))["counters"]
    return {counter.key.metric.name: counter.committed for counter in counters if counter.committed}


def test_rows_are_stored_with_the_time_of_their_append(server, runner):
    begun = datetime.now(UTC)
    with beam.Pipeline(runner=runner) as pipeline:
        outputs = pipeline | beam.Create([row("1", bikes=3, quality=["a"])]) | sink(server)
        assert_that(outputs.rejected, equal_to([]), label="rejected")
        assert_that(outputs.settled | beam.Map(lambda r: r["station_id"]), equal_to(["1"]), label="settled")
    (stored,) = server.rows(PATH)
    assert (stored["station_id"], stored["bikes"], stored["quality"]) == ("1", 3, ["a"])
    assert begun < stored["ingest_ts"] < datetime.now(UTC)


def test_the_rows_of_a_bundle_share_an_append(server):
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        pipeline | beam.Create([100]) | beam.FlatMap(lambda n: [row(str(i)) for i in range(n)]) | sink(server)
    assert server.requests == [100]


def test_an_append_begins_when_a_batch_is_full(server):
    limits = replace(QUICK, batch_rows=40)
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        rows = pipeline | beam.Create([100]) | beam.FlatMap(lambda n: [row(str(i)) for i in range(n)])
        rows | sink(server, limits)
    assert server.requests == [40, 40, 20]


def test_a_batch_is_full_by_its_size_too(server):
    limits = replace(QUICK, batch_bytes=2_000)
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        rows = pipeline | beam.Create([4]) | beam.FlatMap(lambda n: [row(str(i) * 900) for i in range(n)])
        rows | sink(server, limits)
    assert server.requests == [3, 1]


def test_all_bundles_of_a_process_share_a_connection(server):
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        for part in range(5):
            pipeline | f"Rows {part}" >> beam.Create([row(str(part))]) | f"Write {part}" >> sink(server)
    assert (server.requests, server.connections) == ([1] * 5, 1)


def test_bad_rows_come_out_with_their_reason_and_the_others_are_durable(server, runner):
    server.reject_row = lambda stored: "odd" if stored["station_id"] == "3" else None
    rows = [row(str(n)) for n in range(6)] + [row("6", bikes="many")]
    with beam.Pipeline(runner=runner) as pipeline:
        outputs = pipeline | beam.Create(rows, reshuffle=False) | sink(server)
        found = outputs.rejected | beam.Map(lambda r: (r.row["station_id"], r.reason, r.detail))
        assert_that(
            found,
            equal_to(
                [
                    ("3", Reason.ROW_REJECTED, "odd"),
                    ("6", Reason.ROW_REJECTED, "bikes: expected an integer, got str"),
                ]
            ),
            label="rejected",
        )
        settled = outputs.settled | beam.Map(lambda r: r["station_id"])
        assert_that(settled, equal_to([str(n) for n in range(7)]), label="settled")
    assert stations(server) == ["0", "1", "2", "4", "5"]
    assert counted(pipeline.result)["rows_written"] == 5
    assert counted(pipeline.result)["rows_rejected"] == 2


def two_rows(name):
    return [row(f"{name}-1"), row(f"{name}-2")]


def no_rows(_):
    return []


def test_an_element_may_have_many_rows_and_a_reject_names_it(server, runner):
    server.reject_row = lambda stored: "odd" if stored["station_id"] == "b-2" else None
    with beam.Pipeline(runner=runner) as pipeline:
        outputs = pipeline | beam.Create(["a", "b"]) | sink(server, rows_of=two_rows)
        assert_that(outputs.settled, equal_to(["a", "b"]), label="settled")
        found = outputs.rejected | beam.Map(lambda r: (r.element, r.row["station_id"]))
        assert_that(found, equal_to([("b", "b-2")]), label="rejected")
    assert stations(server) == ["a-1", "a-2", "b-1"]


def test_an_element_without_rows_is_settled_without_an_append(server, runner):
    with beam.Pipeline(runner=runner) as pipeline:
        outputs = pipeline | beam.Create(["a"]) | sink(server, rows_of=no_rows)
        assert_that(outputs.settled, equal_to(["a"]))
    assert server.requests == []


def test_elements_keep_their_time_and_window(server, runner):
    with beam.Pipeline(runner=runner) as pipeline:
        rows = (
            pipeline
            | beam.Create([10, 70], reshuffle=False)
            | beam.Map(lambda at: beam.window.TimestampedValue(row(str(at)), at))
            | beam.WindowInto(beam.window.FixedWindows(60))
        )
        outputs = rows | sink(server)
        found = outputs.settled | beam.Map(
            lambda r, at=beam.DoFn.TimestampParam, w=beam.DoFn.WindowParam: (float(at), float(w.start))
        )
        together = found | "Together" >> beam.WindowInto(beam.window.GlobalWindows())
        assert_that(together, equal_to([(10, 0), (70, 60)]))


def test_an_outage_is_waited_for(server, runner):
    server.script.extend([Answer(StatusCode.RESOURCE_EXHAUSTED)] * 2)
    with beam.Pipeline(runner=runner) as pipeline:
        pipeline | beam.Create([row("1")]) | sink(server)
    assert stations(server) == ["1"]
    assert counted(pipeline.result) == {"append_retries": 2, "appends": 1, "rows_written": 1}


def test_rows_whose_answer_was_lost_are_sent_again(server, runner):
    server.script.extend([EndCall(StatusCode.UNAVAILABLE, committed=True)])
    with beam.Pipeline(runner=runner) as pipeline:
        pipeline | beam.Create([row("1")]) | sink(server)
    assert stations(server) == ["1", "1"]


def test_what_cannot_be_written_in_time_fails_the_bundle_and_settles_nothing(server, runner):
    server.rule = lambda rows: Answer(StatusCode.RESOURCE_EXHAUSTED)
    pipeline = beam.Pipeline(runner=runner)
    outputs = pipeline | beam.Create([row("1")]) | sink(server, replace(QUICK, retry_s=0.5))
    outputs.settled | beam.Map(lambda r: pytest.fail(f"settled: {r}"))
    with pytest.raises((SinkUnavailable, RuntimeError), match="station_status: RESOURCE_EXHAUSTED"):
        pipeline.run().wait_until_finish()
    assert stations(server) == []


def test_a_table_may_be_somewhere_else(server):
    elsewhere = "projects/q/datasets/d/tables/t"
    server.tables = {elsewhere: table("station_status")}
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        pipeline | beam.Create([row("1")]) | sink(server, moved_to="q.d.t")
    assert len(server.rows(elsewhere)) == 1


def test_an_unknown_table_is_refused_when_the_pipeline_is_built():
    with pytest.raises(KeyError):
        WriteRows("no_such_table", project="p")
