"""Runs a stack of stand-in processes in the foreground: `standin_stack.py STATE_FOLDER SPECS_JSON [SET_UP_FAILURE]`."""

import json
import os
import sys
from pathlib import Path

from pmpctl.errors import CommandError
from pmpctl.local.processes import ProcessSpec
from pmpctl.local.stack import StackPlan, run
from pmpctl.local.state_folder import StateFolder


def main():
    state, specs, *failure = sys.argv[1:]

    def set_up(wait):
        wait()
        if failure:
            raise CommandError(failure[0])
        return ["created  nothing"]

    plan = StackPlan(
        specs=tuple(ProcessSpec(**spec) for spec in json.loads(specs)),
        env=dict(os.environ),
        cwd=Path.cwd(),
        files={},
        set_up=set_up,
        urls={},
    )
    try:
        with open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as console:
            return run(plan, StateFolder(Path(state)), console)
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
