"""`fruits ui` as a person starts it: a server in a process of its own, for pages to look at."""

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

# Of what MLflow asks its own server, a browser reports this as an error: who is here, on a server without accounts.
NOBODY = "/mlflow/users/current"
# MLflow's assistant opens beside the first page that is looked at, unless it did so before.
NO_ASSISTANT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
PATIENCE = 300  # seconds, on a busy machine


@contextmanager
def serve_lake(lake: Path, log: Path) -> Iterator[str]:
    """Serve the runs of a lake.

    Args:
        lake: a folder.
        log: file for what the server says.

    Yields:
        The address that `fruits ui` tells people to open.
    """
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fruits.cli", "ui", "--lake", str(lake), "--port", str(port)]
    with log.open("w") as said, subprocess.Popen(command, stdout=said, stderr=said) as server:
        try:
            _wait(server, port, log)
            yield re.search(r"^http://\S+$", log.read_text(), re.M)[0]
        finally:
            server.terminate()


def _wait(server: subprocess.Popen, port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"no server: {log.read_text()}")
