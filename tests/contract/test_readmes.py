"""READMEs of services and pipelines list the variables that are read, and every route or option."""

import argparse
import importlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from pmp_beam.__main__ import parser
from pmp_beam.settings import Settings

ROOT = Path(__file__).parents[2]
SERVICES = {path.parents[2].name: path.parent.name for path in ROOT.glob("*/src/pmp_*/wsgi.py")}
BY_CLIENT = {"PUBSUB_EMULATOR_HOST"}  # read by Google's own client


class Recording(Mapping):
    """An environment that remembers which names were requested."""

    def __init__(self, values):
        self.values_, self.asked = values, set()

    def __getitem__(self, name):
        self.asked.add(name)
        return self.values_[name]

    def __iter__(self):
        return iter(self.values_)

    def __len__(self):
        return len(self.values_)


def read_by(folder):
    env = Recording({"PROJECT_ID": "p", "PUSH_AUTH": "none"})
    if folder == "beam":
        Settings.from_env(env)
        return env.asked
    importlib.import_module(f"{SERVICES[folder]}.config").Config.from_env(env)
    [settings] = ROOT.glob("shared/*/src/**/gunicorn_settings.py")
    by_gunicorn = re.findall(r"""os\.environ(?:\.get\(|, )["']([A-Z]+)""", settings.read_text("utf-8"))
    return env.asked | set(by_gunicorn) | BY_CLIENT


def readme(folder):
    return (ROOT / folder / "README.md").read_text("utf-8")


@pytest.mark.parametrize("folder", [*SERVICES, "beam"])
def test_the_readme_lists_the_variables_that_are_read_with_unit_default_and_reason(folder):
    section = readme(folder).split("## Variables", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    listed = {name.strip(" `"): [cell.strip() for cell in cells] for name, *cells in rows}
    assert set(listed) == read_by(folder)
    assert [name for name, cells in listed.items() if len(cells) != 3 or not all(cells)] == []


@pytest.mark.parametrize("folder", SERVICES)
def test_the_readme_lists_every_route(folder):
    sources = [*ROOT.glob(f"{folder}/src/*/app.py"), *ROOT.glob("shared/*/src/**/service.py")]
    routes = {
        route for path in sources for route in re.findall(r'@app\.(?:get|post)\("(/\w+)', path.read_text())
    }
    assert len(routes) > 3
    assert [route for route in routes if route not in readme(folder)] == []


def test_the_readme_of_the_pipelines_names_each_and_the_options_of_the_streaming_ones():
    (pipelines,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    options = {
        option
        for name in ("curate_status", "ingest_events")
        for action in pipelines.choices[name]._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    }
    assert [name for name in (*pipelines.choices, *options) if f"`{name}`" not in readme("beam")] == []
