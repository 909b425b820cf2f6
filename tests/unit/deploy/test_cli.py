import json
import os
import re
from pathlib import Path

import pytest
import typer

from pmp_runtime.processes import ProcessId
from pmpctl import cli
from pmpctl.local.state_folder import ProcessRecord, Record, StateFolder

README = Path(__file__).parents[3] / "deploy" / "README.md"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    for name in ("PMP_PORT_BASE", "PUBSUB_EMULATOR_HOST", "PROJECT_ID", "WRITER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PMP_STATE_DIR", str(tmp_path / "state"))

    def command(*arguments):
        monkeypatch.setattr("sys.argv", ["pmpctl", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return command


def test_env_prints_export_lines(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PMP_PORT_BASE", "20000")
    code, out, _ = run("local", "env")
    assert code == 0
    assert all(line.startswith("export ") for line in out.splitlines())
    assert "export WRITER_URL=http://127.0.0.1:20002" in out
    assert f"export FEEDS_FILE={tmp_path / 'state' / 'feeds.toml'}" in out


def test_no_more_runs_at_once_than_bigquery_lets_wait_for_a_table(run):
    times = ("--from", "2026-01-01", "--to", "2026-01-02", "--every", "1d", "--dry-run")
    code, _, said = run("features", "backfill", *times, "--at-once", "21")
    assert (code, "20" in said) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--feed", "no/such/folder"], "--feed no/such/folder: neither simulated"),
        (["local", "up", "--without", "x"], "--without x: choose from pubsub"),
        (["logs", "writer"], "no log of writer; there are: none yet"),
        (["up", "--engine", "beam"], "--engine is for --target cloud only"),
        (["down", "--cancel"], "--cancel is for --target cloud only"),
        (["up", "--target", "cloud", "--ingestion", "pull"], "--ingestion is for --target local only"),
        (["jobs", "update", "curate_status"], "Dataflow jobs are in the cloud only: add --target cloud"),
        (["tables", "apply", "--target", "cloud"], "unset: PROJECT_ID"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(run, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith(f"pmpctl: {said}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("spelling", [(), ("local",)])
def test_both_spellings_are_the_same_command(run, spelling):
    assert run(*spelling, "status") == (1, "processes: not running\n", "")
    assert json.loads(run(*spelling, "status", "--json")[1]) == {
        "target": "local",
        "ok": False,
        "problems": [],
        "processes": {"error": "not running"},
    }
    assert run(*spelling, "down") == (0, "not running\n", "")


def commands(group, *names):
    """Every command below a group, with its name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield " ".join((*names, name)), command


COMMANDS = dict(commands(typer.main.get_command(cli.app)))
# The README describes these once for all commands.
COMMON = {"--json", "--dry-run", "--yes", "--target", "--help"}


def own_options(command):
    return {
        max(option.opts, key=len)
        for option in command.params
        if option.param_type_name == "option" and not option.hidden
    } - COMMON


def documented_options():
    """The options in the README's calls, by command; `a|b` are two commands."""
    documented = {}
    for call in re.findall(r"`pmpctl ([^`]+)`", README.read_text("utf-8").replace("\\|", "|")):
        first, second, *_ = *call.split(), ""
        names = [first] if first in COMMANDS else [f"{first} {verb}" for verb in second.split("|")]
        for name in names:
            documented.setdefault(name, set()).update(re.findall("--[a-z-]+", call))
    return documented


def test_the_readme_has_every_command_with_its_options():
    documented = documented_options()
    for name in COMMANDS.keys() & {f"local {verb}" for verb in documented}:
        documented[name] = documented[name.removeprefix("local ")]  # the other spelling
    assert COMMANDS.keys() - documented.keys() == set()
    missing = {name: own_options(command) - documented[name] for name, command in COMMANDS.items()}
    assert {name: options for name, options in missing.items() if options} == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "SELECT 1"),
        ("cost",),
        ("tables", "apply"),
        ("features", "status"),
        ("collect",),
        ("dead-letters",),
        ("replay",),
        ("reconcile",),
    ],
)
def test_a_stack_that_is_down_is_said_at_once(run, monkeypatch, arguments):
    monkeypatch.setenv("PMP_PORT_BASE", "64000")
    for name in ("PUBSUB_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "COLLECTOR_URL", "REPLAYER_URL"):
        monkeypatch.delenv(name, raising=False)
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.endswith("; `make up` starts the stack\n")


def test_a_stack_that_is_ready_is_not_started_again(run, tmp_path):
    me = ProcessId.of(os.getpid())
    writer = ProcessRecord(name="writer", ports=(1,), health=None, identity=me)
    urls = {"writer": "http://127.0.0.1:1"}
    folder = StateFolder(tmp_path / "state")
    folder.path.mkdir()
    folder.write(Record(status="ready", supervisor=me, processes=(writer,), urls=urls))
    lines = [f"already running (pid {me.pid}); `pmpctl down` stops it", "writer     http://127.0.0.1:1", ""]
    assert run("up", "--detach") == (0, "\n".join(lines), "")
    assert json.loads(run("up", "--json")[1]) == {"dry_run": False, "calls": [], "urls": urls}
    assert run("down", "--dry-run") == (0, f"stop writer (pid {me.pid})\n", "")


def test_a_dry_run_prints_the_commands_of_the_stack(run, monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085")  # the stack's own
    arguments = ("up", "--dry-run", "--without", "pubsub", "--feed", "live")
    code, out, _ = run(*arguments)
    assert code == 0
    assert "pmpctl.local.bigquery_emulator" in out.splitlines()[0]
    documented = json.loads(run(*arguments, "--json")[1])
    assert documented == {"dry_run": True, "calls": out.splitlines()}
