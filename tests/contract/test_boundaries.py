"""What may import what, from the sources themselves."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]["workspace"]["members"]
PACKAGES = {
    path.name: path for member in MEMBERS for path in (ROOT / member / "src").iterdir() if path.is_dir()
}
# One way: schema <- runtime <- curation <- services. `pmpctl` starts services as processes and imports none of them.
SHARED = ["pmp_schema", "pmp_runtime", "pmp_curation"]
SERVICES = sorted(PACKAGES.keys() - {*SHARED, "pmpctl"})
GOOGLE = {"google", "grpc", "pyarrow"}


def modules(package):
    """(dotted name, syntax tree) of every module of a package."""
    for path in sorted(PACKAGES[package].rglob("*.py")):
        parts = path.relative_to(PACKAGES[package].parent).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), ast.parse(path.read_text("utf-8"))


def imports(tree):
    """Dotted names of everything that a module imports, at its top or inside of functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package, wanted):
    return {name for name, tree in modules(package) if any(i.split(".")[0] in wanted for i in imports(tree))}


def test_the_services_are_found():
    assert {"pmp_collector", "pmp_writer"} <= set(SERVICES)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_imports_a_service_of_another(package):
    assert importers(package, set(SERVICES) - {package}) == set()


@pytest.mark.parametrize("package", SHARED)
def test_a_shared_package_imports_only_those_before_it(package):
    allowed = SHARED[: SHARED.index(package) + 1]
    assert importers(package, PACKAGES.keys() - allowed) == set()


def test_the_core_of_the_curation_imports_the_schema_only():
    found = {name for name in importers("pmp_curation", {"pmp_runtime"}) if ".core." in name}
    assert found == set()


@pytest.mark.parametrize("package", SHARED)
def test_only_the_edges_of_the_shared_packages_import_google(package):
    found = {name for name in importers(package, GOOGLE) if not name.startswith("pmp_runtime.bigquery.")}
    assert found == (
        {"pmp_runtime.pubsub.publisher", "pmp_runtime.retry"} if package == "pmp_runtime" else set()
    )


def test_only_the_edge_of_the_writer_imports_google():
    assert importers("pmp_writer", GOOGLE) == {"pmp_writer.auth", "pmp_writer.sinks", "pmp_writer.wsgi"}


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_but_the_edge_reads_the_environment(package):
    edge = {"wsgi", "__main__", "cli", "probe", "gunicorn_settings", "target", "scheduler"}
    readers = {
        name
        for name, tree in modules(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}
    }
    assert {name for name in readers if name.rsplit(".", 1)[-1] not in edge} == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_a_place_for_anything(package):
    names = {name.rsplit(".", 1)[-1] for name, _ in modules(package)}
    assert names.isdisjoint({"utils", "helpers", "common", "misc", "manager"})


RUNTIME_BASE = ("config", "logs", "bigquery.append.row_values", "http.probe")
REFUSE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in {allowed!r}:
            raise ImportError(f"{{name}} is not installed here")

sys.meta_path.insert(0, Refuse())
"""


def run(program):
    """In a process of its own, with an empty environment."""
    done = subprocess.run(
        [sys.executable, "-c", program], env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("package", "wanted"),
    {
        "pmp_schema": [name for name, _ in modules("pmp_schema")],
        "pmp_runtime": [f"pmp_runtime.{name}" for name in RUNTIME_BASE],
        "pmp_curation": ["pmp_curation.core"],
    }.items(),
)
def test_what_is_pure_needs_msgspec_only(package, wanted):
    run(REFUSE.format(allowed={"msgspec", "pmp_schema", package}) + f"import {', '.join(wanted)}")
