"""A registered classifier in an environment of its own, made from its requirements alone, asked over HTTP."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def make_environment(uv: str, model: Path, folder: Path, *options: str) -> Path:
    """Install what a model's requirements.txt says and nothing else; returns the interpreter."""
    python = folder / "bin" / "python"
    wanted = ["--requirement", model / "requirements.txt"]
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, folder],
        [uv, "pip", "install", "--quiet", "--python", python, *options, *wanted],
    ):
        subprocess.run([*map(str, command)], check=True)
    return python


@contextmanager
def serve(python: Path, model: Path, log: Path) -> Iterator[str]:
    """Run `mlflow models serve` with an interpreter; gives the address, where nothing answers yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment["PATH"] = f"{python.parent}:{environment['PATH']}"
    options = ["--model-uri", str(model), "--port", str(port), "--env-manager", "local"]
    with log.open("w") as out:
        server = subprocess.Popen(
            [str(python), "-m", "mlflow", "models", "serve", *options],
            env=environment,
            cwd=log.parent,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def ask(address: str, photos: Sequence[bytes]) -> list[dict[str, Any]]:
    """Have photos answered, one row each."""
    rows = [[base64.b64encode(photo).decode()] for photo in photos]
    body = json.dumps({"dataframe_split": {"columns": ["content"], "data": rows}}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read(), parse_constant=_refuse)["predictions"]


def ask_first(address: str, photo: bytes, seconds: float = 60) -> list[dict[str, Any]]:
    """Ask until there is a server, and give its first answer."""
    end = time.monotonic() + seconds
    while True:
        try:
            return ask(address, [photo])
        except (ConnectionError, urllib.error.URLError) as error:
            if isinstance(error, urllib.error.HTTPError) or time.monotonic() > end:
                raise
            time.sleep(0.05)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
