"""Log lines of Dataflow's workers, with their fields. Workers import it as a plugin of Beam's.

Beam does so once it has installed its handler, which sends the text of a line and leaves its other fields out.
"""

import json
import logging

from apache_beam.runners.worker.log_handler import FnApiLogRecordHandler

from pmp_runtime import logs


class TextAndFields(logging.Formatter):
    """The message and, as JSON behind it, the fields: `snapshot.curated {"system": "velib"}`; then a traceback."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        text = super().formatMessage(record)
        fields = logs.fields(record)
        return f"{text} {json.dumps(fields, default=str)}" if fields else text


def options(level: str) -> list[str]:
    """Options of a job whose workers log like every other process.

    Args:
        level: Python level name, of our own packages; libraries have what `logs.configure` gives them.
    """
    own = logging.getLevelNamesMapping()[level.upper()]
    of_libraries = logging.getLevelName(max(logging.WARNING, own))
    of_ours = json.dumps(dict.fromkeys(logs.OWN_PACKAGES, logging.getLevelName(own)))
    return [
        f"--beam_plugins={__name__}",
        f"--default_sdk_harness_log_level={of_libraries}",
        f"--sdk_harness_log_level_overrides={of_ours}",
    ]


for _handler in logging.getLogger().handlers:
    if isinstance(_handler, FnApiLogRecordHandler):
        _handler.setFormatter(TextAndFields())
