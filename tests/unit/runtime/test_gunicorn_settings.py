"""gunicorn's settings."""

import runpy

import pytest

from pmp_runtime.config import ConfigError


def test_a_number_of_threads_that_is_none_is_told_as_such(monkeypatch):
    monkeypatch.setenv("THREADS", "many")
    with pytest.raises(ConfigError, match=r"^THREADS: not a positive whole number: 'many'$"):
        runpy.run_module("pmp_runtime.http.gunicorn_settings")


def test_without_threads_they_are_the_concurrency_of_cloud_run(monkeypatch):
    monkeypatch.delenv("THREADS", raising=False)
    assert runpy.run_module("pmp_runtime.http.gunicorn_settings")["threads"] == 80
