"""Google's Pub/Sub emulator as a child process; the one of PUBSUB_EMULATOR_HOST where there is one."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pmpctl.local.pubsub_emulator import docker_answers, pubsub_command
from tests.fakes.server_process import free_port


@contextmanager
def pubsub_emulator(start_s: float = 60) -> Iterator[str]:
    """Yields host:port.

    Raises:
        CommandError: this machine has no emulator.
    """
    given = os.environ.get("PUBSUB_EMULATOR_HOST")
    if given:
        yield given
        return
    port = free_port()
    command = pubsub_command(
        os.environ, port, which=shutil.which, home=Path.home(), docker_answers=docker_answers
    )
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + start_s
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the emulator does not listen within {start_s} s")
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
