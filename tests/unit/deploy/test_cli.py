import pytest

from pmpctl import cli


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


def test_env_prints_export_lines(run, tmp_path):
    code, out, _ = run("local", "env")
    assert code == 0
    assert all(line.startswith("export ") for line in out.splitlines())
    assert "export WRITER_URL=http://127.0.0.1:8082" in out
    assert f"export FEEDS_FILE={tmp_path / 'state' / 'feeds.toml'}" in out


def test_env_follows_the_port_base(run, monkeypatch):
    monkeypatch.setenv("PMP_PORT_BASE", "20000")
    assert "export WRITER_URL=http://127.0.0.1:20002" in run("local", "env")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["local", "up", "--feed", "no/such/folder"], "--feed no/such/folder: neither simulated"),
        (["local", "up", "--without", "x"], "--without x: choose from pubsub"),
        (["local", "logs", "writer"], "no log of writer; there are: none yet"),
        (["setup", "--target", "cloud"], "unset: PROJECT_ID, WRITER_URL"),
        (["tables", "apply", "--target", "cloud"], "unset: PROJECT_ID"),
        (["scheduler", "--service", "nobody=http://x"], "--service nobody: must be KEY=URL"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(run, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith(f"pmpctl: {said}")
    assert err.count("\n") == 1


def test_status_of_no_stack_is_exit_code_1(run):
    assert run("local", "status") == (1, "not running\n", "")
    assert run("local", "status", "--json")[1] == '{"status": "down", "processes": [], "urls": {}}\n'


def test_down_without_a_stack_is_fine(run):
    assert run("local", "down") == (0, "not running\n", "")


def test_service_addresses_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("COLLECTOR_URL", "http://c:1")
    monkeypatch.delenv("WRITER_URL", raising=False)
    assert cli._service_urls(None) == {"collector": "http://c:1"}
