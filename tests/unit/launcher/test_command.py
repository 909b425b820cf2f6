import pytest

from pmp_launcher.__main__ import main


@pytest.mark.parametrize("wrong", ["--run-id=nightly", "--run-id=nightly-1", "--as-of=soon"])
def test_a_wrong_argument_is_told_before_anything_is_read_or_written(monkeypatch, capsys, wrong):
    monkeypatch.setenv("PROJECT_ID", "pmp-test")
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:9")
    right = {
        "--as-of": "2025-11-16T02:15:00Z",
        "--known-at": "2025-11-16T02:14:00Z",
        "--run-id": "features-sql-20251116t021500z-1",
    }
    arguments = [f"{name}={value}" for name, value in right.items()]
    with pytest.raises(SystemExit) as ended:
        main(["station_features", *arguments, wrong])
    assert ended.value.code == 2
    assert f"argument {wrong.partition('=')[0]}: invalid" in capsys.readouterr().err
