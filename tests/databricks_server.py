"""A workspace on this machine: an HTTP server that answers as databricks_state.py says, with faults to order."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from databricks_state import RECORD, TOKEN, VOLUME, Fault, Workspace, answer_call, make_job

from fruits import cli

__all__ = ["RECORD", "TOKEN", "VOLUME", "Fault", "Workspace", "make_job", "no_login", "serve", "type_in", "workspace"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    workspace: Workspace

    def do_GET(self) -> None:
        self._serve()

    do_PUT = do_POST = do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        space, url = self.workspace, urlsplit(self.path)
        path, query = unquote(url.path), {name: each[0] for name, each in parse_qs(url.query).items()}
        short = path.removeprefix("/api/2.0/fs/files")
        length = int(self.headers.get("Content-Length") or 0)
        fault = space.fault(self.command, short)
        if fault and fault.drop == "early":
            self.rfile.read(length // 2)
            self._cut()
            return
        body = self.rfile.read(length)
        if len(body) < length:  # the client was killed: half a file is no file
            self._cut()
            return
        with space.lock:
            space.calls.append((self.command, short))
            space.at_once += 1
            space.most_at_once = max(space.most_at_once, space.at_once)
        time.sleep(space.delay)
        with space.lock:
            space.at_once -= 1
        if fault and fault.drop != "late":
            self._refuse(fault)
            return
        if path.startswith("/link/"):
            space.link_headers.append(dict(self.headers))
        elif path.startswith("/api/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error_code": "UNAUTHENTICATED", "message": "Invalid access token."})
            return
        try:
            answer = answer_call(space, self.command, path, query, body)
        except KeyError as error:
            code = "RESOURCE_DOES_NOT_EXIST" if path.startswith("/api/") else ""
            self._answer(404, {"error_code": code, "message": f"{error.args[0]} does not exist."})
            return
        if fault:
            self._refuse(fault)
            return
        self._answer(200 if answer is not None else 204, answer)

    def _refuse(self, fault: Fault) -> None:
        if not fault.status:
            self._cut()
            return
        page = fault.message if isinstance(fault.message, bytes) else None
        self._answer(fault.status, page or {"error_code": "", "message": fault.message}, fault.headers)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _answer(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        content = b"" if answer is None else answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header(
            "Content-Type", "application/octet-stream" if isinstance(answer, bytes) else "application/json"
        )
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 200

    def handle_error(self, *_: object) -> None:
        pass  # a client that was killed


@contextmanager
def serve() -> Iterator[Workspace]:
    """Run a workspace until the block ends."""
    space = Workspace()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"workspace": space}))
    space.host = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield space
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def no_login(monkeypatch, tmp_path) -> None:
    """A user who never logged in to any workspace."""
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "ARM_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))


@pytest.fixture
def workspace(no_login, monkeypatch, tmp_path) -> Iterator[Workspace]:
    """A workspace with the deployed job in it, and a user logged in to it, whose secret must never be seen."""
    monkeypatch.setenv("FRUITS_CACHE", str(tmp_path / "cache"))
    with serve() as space:
        space.jobs[11] = make_job("fruits")
        monkeypatch.setenv("DATABRICKS_HOST", space.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
        yield space


@pytest.fixture
def type_in(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run `fruits databricks …`: (status, standard output, standard error); neither may hold a secret or a trace."""

    def run(*line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = cli.main(["databricks", *line])
        except SystemExit as ended:
            status = ended.code
        out, err = capsys.readouterr()
        assert TOKEN not in out + err
        assert "presigned-secret" not in out + err  # of a link to a part of a table
        assert "Traceback" not in err
        return status, out, err

    return run
