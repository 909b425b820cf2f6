"""Which local stack a shell's commands mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pmpctl.local.ports import Ports
from pmpctl.local.state_folder import StateFolder
from pmpctl.local.variables import STACK_PUBSUB, variables

_ROOT_MARKERS: Final = ("compose.yaml", "uv.lock")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStack:
    """A stack, running or not.

    Attributes:
        env: the shell's variables.
        pubsub: `host:port` of a Pub/Sub emulator that is not the stack's own.
    """

    env: Mapping[str, str]
    ports: Ports
    state: StateFolder
    pubsub: str | None

    @classmethod
    def from_env(cls, env: Mapping[str, str], cwd: Path) -> Self:
        """Reads `PMP_PORT_BASE`, `PMP_STATE_DIR` and `PUBSUB_EMULATOR_HOST`.

        Raises:
            CommandError: the port base is not usable.
        """
        ports = Ports.parse(env.get("PMP_PORT_BASE"))
        state = StateFolder(_state_folder(env, ports, cwd))
        return cls(env=env, ports=ports, state=state, pubsub=_external_pubsub(env, ports))

    @property
    def variables(self) -> dict[str, str]:
        """As `pmpctl local env` prints them."""
        return variables(self.ports, self.state.path, self.pubsub)


def project_root(start: Path) -> Path:
    """The nearest folder upwards that looks like this repository; else the start itself."""
    for folder in (start, *start.parents):
        if any((folder / marker).is_file() for marker in _ROOT_MARKERS):
            return folder
    return start


def _state_folder(env: Mapping[str, str], ports: Ports, cwd: Path) -> Path:
    if env.get("PMP_STATE_DIR"):
        return Path(env["PMP_STATE_DIR"]).absolute()
    name = f"local-{ports.base}" if env.get("PMP_PORT_BASE") else "local"
    return project_root(cwd) / ".pmp" / name


def _external_pubsub(env: Mapping[str, str], ports: Ports) -> str | None:
    """An emulator that runs already, `host:port`.

    The address of a stack's own emulator is not external: it is set wherever `pmpctl local env` was evaluated, and
    another stack that used it would take over the subscriptions.
    """
    host = env.get("PUBSUB_EMULATOR_HOST")
    own = {ports.address("pubsub"), f"localhost:{ports.of('pubsub')}", env.get(STACK_PUBSUB)}
    return None if not host or host in own else host
