"""Importing and building open no connection and need no environment."""

import subprocess
import sys

PROGRAM = """
import os
import sys

def refuse(event, _):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        print(event, file=sys.stderr, flush=True)
        os._exit(1)

import apache_beam as beam

sys.addaudithook(refuse)
import pmp_beam.io as io

pipeline = beam.Pipeline(runner="FnApiRunner")
read = pipeline | io.ReadRows("station_status", project="pmp-test", columns=["bikes"])
rows = read | beam.FlatMap(lambda batch: batch.to_pylist())
written = rows | io.WriteRows("station_status", project="pmp-test")
rejected = written.rejected | beam.Map(lambda row: row.element)
rejected | io.PublishMessages("dead-letters", project="pmp-test", source="s", messages_of=lambda row: [])
pipeline | io.ReadMessages("pmp-events-dataflow-sub", project="pmp-test")
pipeline.to_runner_api()
"""


def test_a_graph_is_built_without_a_network():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={}, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
