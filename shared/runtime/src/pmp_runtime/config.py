"""Reading a service's configuration from an environment, failing whole."""

import math
from collections.abc import Mapping
from typing import Final

THREADS: Final = 80
"""Of a server where THREADS is not set: Cloud Run's default concurrency."""


class ConfigError(Exception):
    """The environment does not make a configuration; the message names everything that is wrong."""


def require(env: Mapping[str, str], *names: str) -> tuple[str, ...]:
    """The values of variables that must be set and not empty.

    Raises:
        ConfigError: names all that are missing in one line.
    """
    missing = [name for name in names if not env.get(name)]
    if missing:
        raise ConfigError(f"unset: {', '.join(missing)}")
    return tuple(env[name] for name in names)


def number(env: Mapping[str, str], name: str, default: float) -> float:
    """A positive variable, or its default where it is unset or empty.

    Raises:
        ConfigError: the value is not a finite number above zero.
    """
    raw = env.get(name)
    if not raw:
        return default
    try:
        value = float(raw)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"{name}: not a positive number: {raw!r}")
    return value


def count(env: Mapping[str, str], name: str, default: int) -> int:
    """A variable that counts something, 1 or more, or its default where it is unset or empty.

    Raises:
        ConfigError: the value is not a whole number above zero.
    """
    raw = env.get(name)
    if not raw:
        return default
    # Longer digits are no count of anything, and beyond 4,300 of them int() itself refuses.
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 16 and int(raw) > 0):
        raise ConfigError(f"{name}: not a positive whole number: {raw!r:.100}")
    return int(raw)


def choice(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    """A variable with a closed set of values.

    Raises:
        ConfigError: the value is not allowed.
    """
    value = env.get(name) or default
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r} is not one of {', '.join(allowed)}")
    return value


def log_level(env: Mapping[str, str]) -> str:
    """LOG_LEVEL in any case, INFO where it is unset.

    Raises:
        ConfigError: no level of Python's.
    """
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    return choice({"LOG_LEVEL": env.get("LOG_LEVEL", "").upper()}, "LOG_LEVEL", "INFO", levels)
