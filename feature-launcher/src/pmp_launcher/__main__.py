"""`python -m pmp_launcher watch|station_features`: the processes of local runs."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from google.pubsub_v1 import PublisherClient

from pmp_launcher.config import Config
from pmp_launcher.feature_run import Run
from pmp_launcher.local.folder import EXECUTOR, Attempt
from pmp_launcher.local.watch import Stopped, watch
from pmp_launcher.run_events import end_of, publish
from pmp_launcher.sql_engine import WRITTEN, script
from pmp_runtime import logs
from pmp_runtime.bigquery.queries import query_client
from pmp_runtime.bigquery.statements import BigQueryStatements
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmp_schema.features.runs import Status, Wanted, attempt_id, read_attempt_id
from pmp_schema.timestamps import parse_timestamp


def _now() -> datetime:
    return datetime.now(UTC)


def _teller(config: Config, events: Sequence[Outgoing]) -> None:
    publish(PubSubPublisher(PublisherClient(), config.project, timeout_s=config.publish_timeout_s), events)


def _watch(config: Config, args: argparse.Namespace) -> int:
    def stop(*_: object) -> None:
        raise Stopped

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    attempt = Attempt(args.folder)
    request = attempt.request()
    if request is None:
        return 1
    watch(
        attempt,
        request,
        args.command,
        turn=args.turn,
        alive=args.alive,
        deadline_s=args.deadline_s,
        tell=lambda events: _teller(config, events),
        now=_now,
    )
    return 0


def _compute(config: Config, args: argparse.Namespace) -> int:
    """The SQL engine of a local run: against an emulator, which may take an id of a job twice."""
    client = query_client(config.project, config.bigquery_emulator)
    warehouse = BigQueryStatements(client, call_s=config.query_timeout_s, statement_s=config.deadline_s)
    run_id, attempt = args.run_id
    begun_at = _now()
    statement = script(
        warehouse,
        config.tables,
        as_of=args.as_of,
        known_at=args.known_at,
        attempt_id=attempt_id(run_id, attempt),
        now=begun_at,
    )
    (row,) = warehouse.query(statement)
    run = Run(
        wanted=Wanted.of_run(run_id, args.known_at),
        executor=EXECUTOR,
        attempt=attempt,
        status=Status.SUCCEEDED,
        requested_at=begun_at,
        finished_at=_now(),
        rows=row[WRITTEN],
    )
    _teller(config, end_of(run))
    return 0


def _instant(text: str) -> datetime:
    return parse_timestamp(text).astimezone(UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pmp_launcher", description="The processes of local runs."
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    watching = actions.add_parser("watch", help="run a command as an attempt, and note how it ends")
    watching.add_argument("folder", type=Path, help="of the attempt")
    watching.add_argument("--turn", type=Path, required=True, help="file whose lock is waited for")
    watching.add_argument("--deadline-s", type=float, required=True, help="after which the command is killed")
    watching.add_argument("--alive", type=int, required=True, help="descriptor of the attempt's lock")
    watching.add_argument("command", nargs="+", help="behind --")
    watching.set_defaults(act=_watch)
    computing = actions.add_parser("station_features", help="compute the features of a point in time in SQL")
    computing.add_argument("--as-of", type=_instant, required=True, help="end of every window (RFC 3339)")
    computing.add_argument("--known-at", type=_instant, required=True, help="later events do not exist")
    computing.add_argument(
        "--run-id", type=read_attempt_id, required=True, help="id of the run, - and the attempt's number"
    )
    computing.set_defaults(act=_compute)
    return parser


def main(argv: Sequence[str]) -> int:
    """Does what the arguments say; returns the exit code."""
    args = _parser().parse_args(argv)
    config = Config.from_env(os.environ)
    logs.configure(config.log_level)
    code: int = args.act(config, args)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
