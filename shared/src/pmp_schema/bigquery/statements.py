"""The features' statements as query jobs, and what may be tried again (extra `query`)."""

from typing import Any, Final

from google.api_core import exceptions
from google.cloud import bigquery

from pmp_schema.features import Parameter, Statement

# Two statements changed the same rows at once; one of them took effect and the other none.
# https://cloud.google.com/bigquery/docs/transactions#concurrency
_CONFLICTS: Final = ("Could not serialize access", "concurrent update")


def job_config(statement: Statement) -> bigquery.QueryJobConfig:
    """A query job's configuration with a statement's parameters."""
    return bigquery.QueryJobConfig(
        query_parameters=[_parameter(one) for one in statement.parameters], use_query_cache=False
    )


def is_conflict(error: BaseException) -> bool:
    """Whether a statement has failed only because of another one at the same time."""
    refused = isinstance(error, exceptions.BadRequest | exceptions.Conflict | exceptions.Aborted)
    return refused and any(text in str(error) for text in _CONFLICTS)


def _parameter(one: Parameter) -> Any:
    if isinstance(one.value, tuple):
        return bigquery.ArrayQueryParameter(one.name, one.type, list(one.value))
    return bigquery.ScalarQueryParameter(one.name, one.type, one.value)
