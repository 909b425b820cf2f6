"""The module as text, and its dependencies: what Terraform itself does not demand of it."""

import json
import re

import pytest

from pmp_schema.topology import TOPOLOGY
from tests.contract.terraform.conftest import MODULE, SCHEMA
from tests.contract.terraform.provider_schema import trimmed

FILES = sorted(MODULE.glob("*.tf"))
TEXT = "\n".join(path.read_text("utf-8") for path in FILES)
CODE = re.sub(r"^\s*#.*$", "", TEXT, flags=re.MULTILINE)


def blocks(kind):
    """Labels and text of the blocks of a kind."""
    found = re.findall(rf"^{kind}((?: \"\w+\")*) {{(}}|.*?^}})", CODE, re.MULTILINE | re.DOTALL)
    return [(tuple(re.findall(r"\w+", labels)), text) for labels, text in found]


RESOURCES = dict(blocks("resource"))
VARIABLES = {name: text for (name,), text in blocks("variable")}
OUTPUTS = {name: text for (name,), text in blocks("output")}
LOCALS = {name for _, text in blocks("locals") for name in re.findall(r"^  (\w+) += ", text, re.MULTILINE)}


def test_the_schema_has_exactly_the_types_in_use(terraform):
    said = json.loads(terraform.run("providers", "schema", "-json").stdout)
    assert trimmed(said, SCHEMA["provider_version"]) == SCHEMA


def test_the_module_asks_for_the_provider_that_it_was_checked_against():
    major, minor, _ = SCHEMA["provider_version"].split(".")
    assert f'version = "~> {major}.{minor}"' in CODE


def test_no_name_of_the_topology_is_spelled():
    names = [one.id for one in (*TOPOLOGY.topics.values(), *TOPOLOGY.subscriptions)]
    assert [name for name in names if f'"{name}"' in CODE] == []


def test_every_variable_and_local_is_used():
    assert set(re.findall(r"\bvar\.(\w+)", CODE)) == set(VARIABLES)
    assert set(re.findall(r"\blocal\.(\w+)", CODE)) == LOCALS


def arguments(text):
    """Names of what a block sets itself, nested blocks among them."""
    return set(re.findall(r"^  (\w+)\b", text, re.MULTILINE))


def test_variables_are_typed_described_and_validated_and_outputs_described():
    lacking = {
        name: {"description", "type", "validation"} - arguments(text) for name, text in VARIABLES.items()
    }
    lacking |= {name: {"description"} - arguments(text) for name, text in OUTPUTS.items()}
    for name, text in VARIABLES.items():
        if re.search(r"^  type += bool$", text, re.MULTILINE):
            lacking[name] -= {"validation"}
    assert {name: what for name, what in lacking.items() if what} == {}


@pytest.mark.usefixtures("resources")
def test_everything_is_made_after_the_apis_are_enabled(terraform):
    """Terraform makes what depends on nothing first, and Google refuses it while its API is off."""
    early = {
        address.partition("[")[0]
        for address, needs in terraform.dependencies().items()
        if "google_project_service.api" not in needs
    }
    assert early == {"google_project_service.api"}


def test_the_example_sets_variables_that_exist_and_all_that_have_no_default():
    text = (MODULE / "terraform.tfvars.example").read_text("utf-8")
    needed = {name for name, text in VARIABLES.items() if "default" not in arguments(text)}
    assert set(re.findall(r"^(\w+) *=", text, re.MULTILINE)) == needed
    assert set(re.findall(r"^#? ?(\w+) +=", text, re.MULTILINE)) <= set(VARIABLES)


def test_every_exception_from_a_security_check_says_why():
    skips = re.findall(r"checkov:skip=(.*)", TEXT)
    assert skips
    assert [skip for skip in skips if not re.match(r"CKV\w+:.{15,}", skip)] == []
