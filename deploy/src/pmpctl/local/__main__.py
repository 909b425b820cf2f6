"""Runs a stack in the background: `python -m pmpctl.local OPTIONS`, the options as JSON."""

import sys

import msgspec

from pmpctl.errors import CommandError
from pmpctl.local.plan import make_plan
from pmpctl.local.processes import StackOptions
from pmpctl.local.stack import run
from pmpctl.target import local_stack

if __name__ == "__main__":
    try:
        stack = local_stack()
        plan = make_plan(msgspec.json.decode(sys.argv[1], type=StackOptions), stack)
        sys.exit(run(plan, stack.state, console=None))
    except CommandError as error:
        sys.exit(str(error))
