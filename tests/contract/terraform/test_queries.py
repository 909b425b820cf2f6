"""What each account reads and changes in BigQuery, from the SQL of the code that runs as it: granted, and no more.

`test_permissions.py` compares the same grants with what Terraform makes.
"""

import ast
import re
from pathlib import Path

import pytest

from pmp_schema import tables
from pmp_schema.topology import TOPOLOGY
from tests.contract.terraform.test_permissions import GRANTS

ROOT = Path(__file__).parents[3]
VIEWS = {name for dataset in TOPOLOGY.datasets.values() for name in dataset.views}
NAMES = VIEWS | {name for dataset in TOPOLOGY.datasets.values() for name in dataset.tables}
FEATURES = "shared/schema/src/pmp_schema/features/sql"
STAGED = "pmp_features"  # staging tables are made there, under names that nobody knows before

# Account -> the SQL that it runs. Workers end a feature run; who submits it does all that comes before.
RUN_AS = {
    "pmp-dataflow-worker": [
        "beam/src/**/sql/*.sql",
        "shared/curation/src/**/sql/*.sql",
        f"{FEATURES}/*_station_features.sql",
    ],
    "pmp-dataflow-submitter": [f"{FEATURES}/**/*.sql"],
    "pmp-feature-launcher": ["feature-launcher/src/**/sql/*.sql", f"{FEATURES}/**/*.sql"],
    "pmp-dlq-replayer": ["dlq-replayer/src/**/sql/*.sql"],
    "pmp-dashboard": ["dashboard/src/**/sql/*.sql"],
}
# Run as the person who calls, or made by Terraform.
OF_NO_ACCOUNT = ["deploy/src/pmpctl/**/sql/*.sql", "shared/schema/src/pmp_schema/views/*.sql"]


def files_of(patterns):
    return {path for pattern in patterns for path in ROOT.glob(pattern)}


def texts(account):
    return [path.read_text("utf-8") for path in sorted(files_of(RUN_AS[account]))]


def read_by_storage_api():
    """Tables that the pipelines read with no SQL, on the workers."""
    calls = [
        node
        for path in ROOT.glob("beam/src/**/*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ReadRows"
    ]
    return {call.args[0].value for call in calls}


def with_sources(name):
    """A table or view, and all that it is made of."""
    if name not in VIEWS:
        return {name}
    sources = re.findall(r"`my-project\.\w+\.(\w+)`", tables.view_sql(name, "my-project"))
    return {name}.union(*map(with_sources, sources))


def changed(account):
    return {name for text in texts(account) for name in re.findall(r"MERGE `\{(\w+)\}`", text)}


def read(account):
    named = {name for text in texts(account) for name in re.findall(r"\{(\w+)\}", text)} & NAMES
    named |= read_by_storage_api() if account == "pmp-dataflow-worker" else set()
    return set().union(*map(with_sources, named))


def home(name):
    return TOPOLOGY.dataset_of(name).id


def least(account):
    """The grants of the smallest scope: of editing, and of reading what is not edited."""
    edited = {home(name) if home(name) == STAGED else name for name in changed(account)}
    left = {name for name in read(account) if not {name, home(name)} & edited}
    whole = {home(name) for name in left & VIEWS}
    return edited, whole | {name for name in left if home(name) not in whole}


@pytest.mark.parametrize("account", RUN_AS)
def test_an_account_may_read_and_change_what_its_code_does_and_no_more(account):
    edits, reads = (GRANTS[account].get(f"bigquery.data{role}", set()) for role in ("Editor", "Viewer"))
    assert (edits, reads) == least(account)


def test_only_who_runs_sql_may_query():
    assert {account for account, roles in GRANTS.items() if "bigquery.jobUser" in roles} == set(RUN_AS)


def test_only_the_workers_open_read_sessions():
    assert read_by_storage_api() == {"raw_events", "station_daily_counts"}
    assert [account for account, roles in GRANTS.items() if "bigquery.readSessionUser" in roles] == [
        "pmp-dataflow-worker"
    ]


def test_all_sql_is_run_as_some_account():
    known = files_of([pattern for patterns in RUN_AS.values() for pattern in patterns]) | files_of(
        OF_NO_ACCOUNT
    )
    assert files_of(["*/src/**/*.sql", "shared/*/src/**/*.sql"]) == known
    assert all(map(files_of, RUN_AS.values()))
