"""Station features side by side: `python -m tests.bench.features [--events N]`, 10 million by default.

The Beam pipeline of the project, the same features in a plain pipeline that handles one event after the other, and
the SQL in DuckDB; each from the same Parquet files to finished rows, deduplication included. The plain pipeline gets
a part of the data only, on which the rows of all three are compared too. Every run is a process of its own; they
alternate, so that a busy machine slows all of them.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.bench.feature_data import DAYS, STATIONS, files
from tests.bench.feature_engines import ENGINES, stages

ROOT = Path(__file__).parents[2] / ".pmp" / "bench"
WORKERS = {"ours": 1, "duckdb": 2, "plain": 2}
"""The in-process runner has one worker, whose compression alone is on both cores: with two it moves every piece
through gRPC and needs twice the memory. The plain pipeline has two processes, DuckDB two threads."""


def child(engine: str, paths: Sequence[str], rows_file: str | None) -> dict[str, Any]:
    """One run in this process."""
    result: dict[str, Any] = {}
    rows: list[Any] = []
    for name, work in ENGINES[engine](list(paths), WORKERS[engine]):
        began = time.perf_counter()
        used_s = _cpu_s()
        rows = work()
        result |= {f"{name}_s": time.perf_counter() - began, f"{name}_cpu_s": _cpu_s() - used_s}
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    if rows_file:
        key = ("city_id", "station_id", "feature_name", "window_len")
        Path(rows_file).write_text(
            json.dumps([[*(row[c] for c in key), row["value"]] for row in rows]), "utf-8"
        )
    return result | {"rows": len(rows), "peak_mb": max(peaks) / 1024}


def _cpu_s() -> float:
    """Processor seconds of this process and its ended children."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def run(engine: str, paths: Sequence[Path], rows_file: Path | None = None) -> dict[str, Any]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.features", "--child", engine]
    command += ["--rows-file", str(rows_file)] if rows_file else []
    done = subprocess.run([*command, *map(str, paths)], stdout=subprocess.PIPE, check=True, timeout=3600)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def bench(events: int, runs: int, plain_part: int) -> None:
    part = events // plain_part
    print(f"{events:,} events, {STATIONS:,} stations, {DAYS} days; plain: {part:,} events", flush=True)
    whole, some = files(ROOT, events), files(ROOT, part)
    found = {engine: ROOT / f"rows-{engine}.json" for engine in ENGINES}
    results: dict[str, list[dict[str, Any]]] = {"plain": [run("plain", some, found["plain"])]}
    for engine in ("ours", "duckdb"):
        run(engine, some, found[engine])
    same_rows(found)
    for _ in range(runs):
        for engine in ("ours", "duckdb"):
            results.setdefault(engine, []).append(run(engine, whole))
    report(results, {"plain": part}, events)
    print("\nours, step by step without Beam, processor seconds:")
    for name, used_s in stages(list(map(str, whole))).items():
        print(f"  {name:38} {used_s:6.2f}")


def same_rows(found: dict[str, Path]) -> None:
    """All engines gave the same rows.

    Raises:
        AssertionError: they did not.
    """
    values = {
        engine: {tuple(row[:4]): row[4] for row in json.loads(path.read_text("utf-8"))}
        for engine, path in found.items()
    }
    for engine, rows in values.items():
        assert rows == pytest.approx(values["duckdb"], rel=1e-9, abs=0), engine
    print(f"all three give the same {len(values['duckdb']):,} rows")


def report(results: dict[str, list[dict[str, Any]]], sizes: dict[str, int], events: int) -> None:
    print(f"{'':8}{'start s':>9}{'run s':>9}{'cpu s':>9}{'events/s':>12}{'peak MB':>9}   runs, s")
    rates: dict[str, float] = {}
    for engine, found in results.items():
        median = {
            name: statistics.median(one.get(name, 0.0) for one in found) for name in (*found[0], "start_s")
        }
        rates[engine] = sizes.get(engine, events) / (median["run_s"] - median["start_s"])
        each = " ".join(f"{one['run_s']:.1f}" for one in found)
        print(
            f"{engine:8}{median['start_s']:9.1f}{median['run_s']:9.1f}{median['run_cpu_s']:9.1f}"
            f"{rates[engine]:12,.0f}{max(one['peak_mb'] for one in found):9,.0f}   {each}"
        )
    ratios = [a["run_s"] / b["run_s"] for a, b in zip(results["ours"], results["duckdb"], strict=True)]
    print(f"ours: {rates['ours'] / rates['plain']:.0f} times the plain pipeline's rate (target: 20 or more),")
    print(f"      {statistics.median(ratios):.2f} times DuckDB's time (target: 4 or less)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--plain-part", type=int, default=20, help="one in so many events for the plain pipeline"
    )
    parser.add_argument("--child", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--rows-file", help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(child(args.child, args.files, args.rows_file)))
    else:
        bench(args.events, args.runs, args.plain_part)


if __name__ == "__main__":
    main()
