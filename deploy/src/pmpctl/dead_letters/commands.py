"""Commands about messages that did not arrive: list and replay dead letters, reconcile."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pmp_schema.timestamps import format_timestamp
from pmpctl.ages import begin
from pmpctl.dead_letters import reconciliation
from pmpctl.dead_letters import replay as replayer
from pmpctl.dead_letters.replay import SERVICE
from pmpctl.errors import CommandError
from pmpctl.http import answer
from pmpctl.session import open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import JsonOption, dump, output


class Source(StrEnum):
    HOLD = "hold"
    TABLE = "table"


ReasonOption = Annotated[str | None, typer.Option(help="Only letters with this reason.")]
TopicOption = Annotated[str | None, typer.Option(help="Only letters of this topic.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to `pmpctl`."""
    app.command("dead-letters")(dead_letters)
    app.command()(replay)
    app.command()(reconcile)


def dead_letters(
    context: typer.Context,
    reason: ReasonOption = None,
    source_topic: TopicOption = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Dead-lettered since: an age (90m, 24h, 7d) or an RFC 3339 time; 30 days ago by default."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Lists dead letters, newest first."""
    at = None if since is None else format_timestamp(begin(since, datetime.now(UTC)))
    given = {"reason": reason, "source_topic": source_topic, "since": at}
    filters = {name: value for name, value in given.items() if value is not None} | {"limit": str(limit)}
    session = open_session(context, target)
    request = replayer.letters_request(session.url(SERVICE), filters)
    letters = answer(session.send(request), SERVICE)["dead_letters"]
    if as_json:
        typer.echo(dump(letters))
    elif letters:
        output().print(replayer.letters_table(letters))
    else:
        typer.echo("no dead letters")


def replay(
    context: typer.Context,
    reason: ReasonOption = None,
    source_topic: TopicOption = None,
    system: Annotated[str | None, typer.Option(help="Only letters of this system.")] = None,
    published_after: Annotated[str | None, typer.Option(help="RFC 3339; of the original message.")] = None,
    published_before: Annotated[str | None, typer.Option(help="RFC 3339; of the original message.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Letters at most.")] = 1000,
    rate: Annotated[float, typer.Option(min=0.001, max=1e6, help="Letters a second.")] = 100.0,
    source: Annotated[
        Source, typer.Option("--from", help="The hold subscription (7 days), or the table (any age).")
    ] = Source.HOLD,
    max_replays: Annotated[int, typer.Option(min=1, help="Letters replayed this often stay.")] = 3,
    stop_share: Annotated[
        float, typer.Option(min=0, max=1, help="Stop when more than this share comes back.")
    ] = 0.5,
    fixes: Annotated[
        Path | None,
        typer.Option(
            help='JSON file: [{"op": "set", "path": "$.kind", "value": "pickup"}, ...].',
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, by what the table has.")
    ] = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Publishes dead letters to their original topics again; exits 1 where the run stopped early."""
    given: dict[str, Any] = {
        "reason": reason,
        "source_topic": source_topic,
        "system": system,
        "published_after": published_after,
        "published_before": published_before,
    }
    wanted = {name: value for name, value in given.items() if value is not None} | {
        "limit": limit,
        "rate_per_s": rate,
        "from": source.value,
        "max_replays": max_replays,
        "stop_share": stop_share,
        "fixes": _read_fixes(fixes),
        "dry_run": dry_run,
    }
    session = open_session(context, target)
    lines = replayer.replay(session, replayer.replay_request(session.url(SERVICE), wanted))
    report = replayer.show(lines, limit, quiet=as_json)
    if as_json:
        typer.echo(dump(report))
    else:
        output().print(replayer.report_table(report))
    if source is Source.HOLD and not dry_run and not report["examined"]:
        typer.echo(
            "the hold has no letter (it keeps them for 7 days): `--from table` replays older ones", err=True
        )
    raise typer.Exit(1 if report.get("stopped") else 0)


def reconcile(
    context: typer.Context,
    since: Annotated[str, typer.Option(help="An age (90m, 24h, 7d) or an RFC 3339 time.")] = "24h",
    ids: Annotated[
        bool,
        typer.Option(
            "--ids", help="Also lists messages that came twice and events published again, the newest 1,000."
        ),
    ] = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Compares what was published with rows and dead letters, by topic and hour; exits 1 where something is missing.

    Publishers announce numbers, never ids, so a missing message cannot be named: it is on its way, or lost. Messages
    of publishers that do not count are surplus; surplus and duplicates of an hour can hide as many missing ones.
    """
    session = open_session(context, target)
    request = reconciliation.request(session.url(SERVICE), since=since, ids=ids)
    told = answer(session.send(request), SERVICE)
    if as_json:
        typer.echo(dump(told))
    else:
        reconciliation.show(told, output())
    raise typer.Exit(1 if told["missing"] else 0)


def _read_fixes(path: Path | None) -> Any:
    if path is None:
        return []
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{path}: not JSON: {error}") from error
