"""`pmpctl dead-letters`, `replay` and `reconcile`: the dlq-replayer's commands."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

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


ReasonOption = Annotated[str | None, typer.Option(help="Only dead letters with this reason.")]
TopicOption = Annotated[str | None, typer.Option(help="Only dead letters from this topic.")]


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
            help="Dead-lettered after: an age (90m, 24h, 7d) or an RFC 3339 time; 30 days ago by default."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Lists dead letters, newest first."""
    filters = _given(reason=reason, source_topic=source_topic, since=since, limit=str(limit))
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
    system: Annotated[str | None, typer.Option(help="Only dead letters of this system.")] = None,
    published_after: Annotated[
        str | None, typer.Option(help="Only messages published after; RFC 3339.")
    ] = None,
    published_before: Annotated[
        str | None, typer.Option(help="Only messages published before; RFC 3339.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The most dead letters to replay.")] = 1000,
    rate: Annotated[float, typer.Option(min=0.001, max=1e6, help="Dead letters per second.")] = 100.0,
    source: Annotated[
        Source,
        typer.Option("--from", help="The hold subscription (7 days) or the dead-letters table (any age)."),
    ] = Source.HOLD,
    max_replays: Annotated[
        int, typer.Option(min=1, help="Skip dead letters that were replayed this often.")
    ] = 3,
    stop_share: Annotated[
        float, typer.Option(min=0, max=1, help="Stop if more than this share comes back.")
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
        bool, typer.Option("--dry-run", help="Only report what would be done, from the dead-letters table.")
    ] = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Publishes dead letters to their original topics again; exits 1 if the replay stopped early."""
    wanted = _given(
        reason=reason,
        source_topic=source_topic,
        system=system,
        published_after=published_after,
        published_before=published_before,
        limit=limit,
        rate_per_s=rate,
        max_replays=max_replays,
        stop_share=stop_share,
        fixes=_read_fixes(fixes),
        dry_run=dry_run,
        **{"from": source.value},
    )
    session = open_session(context, target)
    lines = replayer.replay(session, replayer.replay_request(session.url(SERVICE), wanted))
    report = replayer.show(lines, limit, quiet=as_json)
    if as_json:
        typer.echo(dump(report))
    else:
        output().print(replayer.report_table(report))
    if source is Source.HOLD and not dry_run and not report["examined"]:
        typer.echo(
            "the hold subscription is empty (it keeps 7 days): `--from table` replays older dead letters",
            err=True,
        )
    raise typer.Exit(1 if report.get("stopped") else 0)


def reconcile(
    context: typer.Context,
    since: Annotated[str, typer.Option(help="An age (90m, 24h, 7d) or an RFC 3339 time.")] = "24h",
    ids: Annotated[
        bool,
        typer.Option("--ids", help="Also list the newest 1,000 repeated messages and events."),
    ] = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Compares published messages with rows and dead letters, by topic and hour; exits 1 if messages are missing.

    Publishers report numbers, not ids, so a missing message has no name: it is still on its way, or lost. Messages of
    publishers that do not count are surplus. Surplus and duplicates of an hour can hide missing messages.
    """
    session = open_session(context, target)
    request = reconciliation.request(session.url(SERVICE), since=since, ids=ids)
    found = answer(session.send(request), SERVICE)
    if as_json:
        typer.echo(dump(found))
    else:
        reconciliation.show(found, output())
    raise typer.Exit(1 if found["missing"] else 0)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _read_fixes(path: Path | None) -> Any:
    if path is None:
        return []
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{path}: not JSON: {error}") from error
