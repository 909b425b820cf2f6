"""The module read as text: it parses, its names resolve, its arguments exist. Needs no Terraform."""

import re

import pytest

from pmp_schema.topology import TOPOLOGY
from tests.contract.terraform.conftest import MODULE, SCHEMA
from tests.contract.terraform.hcl import arguments, blocks, labelled, load
from tests.contract.terraform.plugin import SOURCE

FILES = sorted(MODULE.glob("*.tf"))
TEXT = "\n".join(path.read_text("utf-8") for path in FILES)
CODE = re.sub(r"^\s*#.*$", "", TEXT, flags=re.MULTILINE)
DOCUMENTS = [load(path) for path in FILES]
RESOURCES = {labels: body for document in DOCUMENTS for labels, body in labelled(document, "resource")}
DATA = {labels: body for document in DOCUMENTS for labels, body in labelled(document, "data")}
VARIABLES = {name: body for document in DOCUMENTS for (name,), body in labelled(document, "variable")}
OUTPUTS = {name: body for document in DOCUMENTS for (name,), body in labelled(document, "output")}
LOCAL_VALUES = {
    name: value
    for document in DOCUMENTS
    for _, body in labelled(document, "locals")
    for name, value in arguments(body).items()
}
LOCALS = set(LOCAL_VALUES)
TYPES = SCHEMA["provider_schemas"][SOURCE]
META = {"for_each", "count", "depends_on", "lifecycle", "provider"}


def problems(body, schema, where):
    """Arguments and blocks that the provider does not know, misses, or takes fewer of."""
    attributes, nested = schema["attributes"], schema.get("block_types", {})
    given = {name: value for name, value in arguments(body).items() if name not in META | {"dynamic"}}
    dynamic = {
        labels[0]: inner for labels, inner in labelled({"dynamic": body.get("dynamic", [])}, "dynamic")
    }
    for name in given.keys() - attributes.keys() - nested.keys():
        yield f"{where}.{name}: no such argument"
    for name in dynamic.keys() - nested.keys():
        yield f"{where}.{name}: no such block"
    for name, attribute in attributes.items():
        if attribute.get("required") and name not in given:
            yield f"{where}.{name}: required"
        if name in given and not attribute.keys() & {"required", "optional"}:
            yield f"{where}.{name}: only to be read"
    for name, block in nested.items():
        inner = blocks(given[name]) if name in given else []
        if inner is None:
            yield f"{where}.{name}: a block, given as an argument"
            continue
        if len(inner) > block.get("max_items", len(inner)):
            yield f"{where}.{name}: {len(inner)} of at most {block['max_items']}"
        if block.get("min_items", 0) and not inner and name not in dynamic:
            yield f"{where}.{name}: required"
        contents = inner + ([dynamic[name]["content"][0]] if name in dynamic else [])
        for content in contents:
            yield from problems(content, block["block"], f"{where}.{name}")


@pytest.mark.parametrize("labels", RESOURCES, ids=".".join)
def test_a_resource_has_the_arguments_that_the_provider_takes(labels):
    schema = TYPES["resource_schemas"][labels[0]]["block"]
    assert list(problems(RESOURCES[labels], schema, ".".join(labels))) == []


@pytest.mark.parametrize("labels", DATA, ids=".".join)
def test_a_data_source_has_the_arguments_that_the_provider_takes(labels):
    schema = TYPES["data_source_schemas"][labels[0]]["block"]
    assert list(problems(DATA[labels], schema, ".".join(labels))) == []


def test_the_provider_has_the_arguments_that_it_takes():
    ((_, body),) = labelled(next(d for d in DOCUMENTS if "provider" in d), "provider")
    assert list(problems(body, TYPES["provider"]["block"], "provider")) == []


def test_the_schema_names_exactly_the_types_in_use():
    assert set(TYPES["resource_schemas"]) == {kind for kind, _ in RESOURCES}
    assert set(TYPES["data_source_schemas"]) == {kind for kind, _ in DATA}


def test_the_module_asks_for_the_provider_that_it_was_checked_against():
    major, minor, _ = SCHEMA["provider_version"].split(".")
    assert f'version = "~> {major}.{minor}"' in CODE


def test_topics_and_subscriptions_are_those_of_the_topology():
    made = {
        labels: (body["for_each"], body["name"])
        for labels, body in RESOURCES.items()
        if labels[0] in ("google_pubsub_topic", "google_pubsub_subscription")
    }
    assert made == {
        ("google_pubsub_topic", "this"): ("${local.topics}", "${each.value.id}"),
        ("google_pubsub_subscription", "this"): ("${local.wanted}", "${each.key}"),
    }
    names = [one.id for one in (*TOPOLOGY.topics.values(), *TOPOLOGY.subscriptions)]
    assert [name for name in names if f'"{name}"' in CODE] == []


def test_the_ack_deadline_is_that_of_the_topology_and_longer_than_a_handlers_budget():
    subscription = RESOURCES["google_pubsub_subscription", "this"]
    assert subscription["ack_deadline_seconds"] == "${local.policy.ack_deadline_s}"
    assert TOPOLOGY.push_policy.handler_budget_s < TOPOLOGY.push_policy.ack_deadline_s <= 600


def test_every_variable_and_local_exists_and_is_used():
    assert set(re.findall(r"\bvar\.(\w+)", CODE)) == set(VARIABLES)
    assert set(re.findall(r"\blocal\.(\w+)", CODE)) == LOCALS


def test_every_reference_names_a_resource_and_an_attribute_of_its_type():
    found = re.findall(r"(data\.)?\b(google_\w+)\.(\w+)(?:\[[^\]]*\])?(?:\[\*\])?(?:\.(\w+))?", CODE)
    assert found
    for data, kind, name, attribute in found:
        assert (kind, name) in (DATA if data else RESOURCES)
        known = TYPES["data_source_schemas" if data else "resource_schemas"][kind]["block"]
        assert not attribute or attribute in known["attributes"], f"{kind}.{name}.{attribute}"


def test_each_and_count_are_used_only_where_they_are_set():
    for labels, body in RESOURCES.items():
        text = str(arguments(body))
        assert ("each." in text) <= ("for_each" in body), labels
        assert ("count.index" in text) <= ("count" in body), labels


def references(value, seen=frozenset()):
    """Resources that a value names, by way of locals as well."""
    text = str(value)
    found = set(re.findall(r"(?<!data\.)\bgoogle_\w+\.\w+", text))
    named = set(re.findall(r"\blocal\.(\w+)", text)) - seen
    return found.union(*(references(LOCAL_VALUES[name], seen | named) for name in named))


def test_what_is_made_of_nothing_else_waits_for_the_apis():
    for labels, body in RESOURCES.items():
        if labels[0] != "google_project_service":
            assert references(arguments(body)) - {".".join(labels)}, labels


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_is_typed_described_and_validated(name):
    variable = VARIABLES[name]
    assert {"description", "type"} <= variable.keys()
    assert "validation" in variable or variable["type"] == "bool"


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_is_described(name):
    assert "description" in OUTPUTS[name]


def test_the_example_sets_variables_that_exist_and_all_that_have_no_default():
    text = (MODULE / "terraform.tfvars.example").read_text("utf-8")
    needed = {name for name, body in VARIABLES.items() if "default" not in body}
    assert set(re.findall(r"^(\w+) *=", text, re.MULTILINE)) == needed
    assert set(re.findall(r"^#? ?(\w+) +=", text, re.MULTILINE)) <= set(VARIABLES)


def test_every_exception_from_a_security_check_says_why():
    skips = re.findall(r"checkov:skip=(.*)", TEXT)
    assert skips
    assert [skip for skip in skips if not re.match(r"CKV\w+:.{15,}", skip)] == []
