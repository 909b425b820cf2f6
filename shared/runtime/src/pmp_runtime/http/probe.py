"""A container's health check: `python -m pmp_runtime.http.probe` exits 0 where the service on PORT answers /healthz.

Not curl, which a slim image lacks; not urllib, which would ask a proxy of the environment.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException
from typing import Final

TIMEOUT_S: Final = 3.0


def answers(port: int) -> bool:
    """Whether what listens on a port of this machine says that it is up."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if answers(int(os.environ["PORT"])) else 1)
