"""Reading a service's configuration from an environment, failing whole."""

from collections.abc import Mapping


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
    """A numeric variable, or its default where it is unset or empty.

    Raises:
        ConfigError: the value is not a number.
    """
    raw = env.get(name)
    if not raw:
        return default
    try:
        return float(raw)
    except ValueError:
        raise ConfigError(f"{name}: not a number: {raw!r}") from None


def choice(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    """A variable with a closed set of values.

    Raises:
        ConfigError: the value is not allowed.
    """
    value = env.get(name) or default
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r} is not one of {', '.join(allowed)}")
    return value
