"""Each service's README lists exactly the variables that the service reads."""

import ast
import importlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = {path.parent.parent.parent.name: path.parent.name for path in ROOT.glob("*/src/pmp_*/wsgi.py")}
BY_CLIENT = {"PUBSUB_EMULATOR_HOST"}  # read by Google's own client


class Recording(Mapping):
    """An environment that remembers what it was asked for."""

    def __init__(self, values):
        self.values_, self.asked = values, set()

    def __getitem__(self, name):
        self.asked.add(name)
        return self.values_[name]

    def __iter__(self):
        return iter(self.values_)

    def __len__(self):
        return len(self.values_)


def read_by_config(package):
    env = Recording({"PROJECT_ID": "p", "PUSH_AUTH": "none"})
    importlib.import_module(f"{package}.config").Config.from_env(env)
    return env.asked


def read_by_serving():
    """The names in `os.environ.get(NAME, ...)` and `reader(os.environ, NAME, ...)`."""
    tree = ast.parse((ROOT / "shared/schema/src/pmp_schema/serving.py").read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    got = [call.args[0] for call in calls if ast.unparse(call.func) == "os.environ.get"]
    read = [call.args[1] for call in calls if ast.unparse(call.args[0]) == "os.environ"]
    return {name.value for name in (*got, *read)}


def table_of_variables(readme):
    """The rows of the table below the heading `Variables`: name to (unit, default, reason)."""
    section = readme.split("## Variables", 1)[1].split("\n## ", 1)[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if "| `" in line
    ]
    return {cell[0].strip("`"): cell[1:] for cell in cells}


@pytest.mark.parametrize("folder", SERVICES)
def test_the_readme_lists_what_the_service_reads_and_nothing_else(folder):
    listed = table_of_variables((ROOT / folder / "README.md").read_text("utf-8"))
    assert set(listed) == read_by_config(SERVICES[folder]) | read_by_serving() | BY_CLIENT


@pytest.mark.parametrize("folder", SERVICES)
def test_every_variable_has_unit_default_and_reason(folder):
    for name, cells in table_of_variables((ROOT / folder / "README.md").read_text("utf-8")).items():
        assert len(cells) == 3, name
        assert all(cells), name


@pytest.mark.parametrize("folder", SERVICES)
def test_the_readme_lists_every_route(folder):
    readme = (ROOT / folder / "README.md").read_text("utf-8")
    sources = [
        (ROOT / folder / "src" / SERVICES[folder] / "app.py"),
        ROOT / "shared/schema/src/pmp_schema/service.py",
    ]
    routes = [
        route for path in sources for route in re.findall(r'@app\.(?:get|post)\("(/\w+)', path.read_text())
    ]
    assert routes
    assert [route for route in routes if route not in readme] == []
