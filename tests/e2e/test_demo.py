"""`make demo` on a capture of three stations."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import free_port_base

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

STATUS = {
    "lastUpdatedOther": 1760778556,
    "ttl": 3600,
    "data": {
        "stations": [{"station_id": n, "num_bikes_available": n, "num_docks_available": 9} for n in (1, 2, 3)]
    },
}
INFORMATION = {
    "lastUpdatedOther": 1760778679,
    "ttl": 3600,
    "data": {
        "stations": [{"station_id": n, "stationCode": f"A{n}", "lat": 48.8, "lon": 2.3} for n in (1, 2, 3)]
    },
}


def test_the_demo_shows_every_station_of_a_capture_and_loses_nothing(tmp_path: Path):
    (tmp_path / "station_status.json").write_text(json.dumps(STATUS))
    (tmp_path / "station_information.json").write_text(json.dumps(INFORMATION))
    root = tmp_path / "root"  # a project's root of its own: .pmp/demo.json of the checkout stays as it is
    root.mkdir()
    (root / "compose.yaml").touch()
    env = {**os.environ, "PMP_PORT_BASE": str(free_port_base())}
    env.pop("PUBSUB_EMULATOR_HOST", None)

    done = subprocess.run(
        [sys.executable, "-m", "pmpctl", "demo", "--feed", str(tmp_path)],
        env=env,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((root / ".pmp" / "demo.json").read_text())
    assert report["tables"]["pmp_raw.feed_snapshots"] == 1
    assert report["tables"]["pmp_curated.station_information"] == 3
    assert report["tables"]["pmp_raw.raw_events"] == report["published"] - 2
    assert (report["ok"], report["lost"], report["feed"]) == (True, 0, str(tmp_path))
    assert all(step["ok"] for step in report["steps"])
