"""Serves the BigQuery emulator without any download: `python -m pmpctl.local.bigquery_emulator`."""

from pathlib import Path
from typing import Annotated

import duckdb_extensions
import google.cloud.bigquery_storage_v1.types  # noqa: F401 - else the first request waits for the import
import typer
from bqemulator.config import LogFormat, LogLevel, PersistenceMode, Settings
from bqemulator.server import run_forever

from pmpctl.local import emulator_fixes


def serve(
    rest_port: Annotated[int, typer.Option(help="REST port.")],
    grpc_port: Annotated[int, typer.Option(help="Storage Read and Write API port.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    data_dir: Annotated[Path | None, typer.Option(help="Keep tables here; else in memory.")] = None,
    project: Annotated[str, typer.Option(help="Project of requests without one.")] = "pmp-local",
) -> None:
    """Serves until SIGINT or SIGTERM."""
    # The emulator installs DuckDB's spatial extension at its start; it finds the wheel's copy first.
    duckdb_extensions.import_extension("spatial")
    emulator_fixes.apply()
    if data_dir is not None:
        data_dir.mkdir(parents=True, exist_ok=True)
    run_forever(
        Settings(
            rest_host=host,
            rest_port=rest_port,
            grpc_host=host,
            grpc_port=grpc_port,
            persistence_mode=PersistenceMode.PERSISTENT if data_dir else PersistenceMode.EPHEMERAL,
            data_dir=data_dir,
            default_project_id=project,
            enable_format_extensions=False,  # Avro, which would be downloaded
            log_level=LogLevel.WARNING,
            log_format=LogFormat.JSON,
        )
    )


if __name__ == "__main__":
    typer.run(serve)
