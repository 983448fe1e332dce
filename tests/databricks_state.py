"""What a workspace holds, and its answers to the few REST calls that `fruits databricks` makes.

It keeps what it is told in plain attributes, which a test fills and looks at.
"""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

TOKEN = "dapi-0123456789-secret"
VOLUME = "/Volumes/main/fruits/photos"
RECORD = f"{VOLUME}/_fruits_upload.json.gz"


@dataclass
class Fault:
    """What happens to the next `times` calls that match, instead of an answer."""

    method: str
    path: str
    status: int = 0
    message: str | bytes = "ordered by the test"  # bytes are the whole answer
    headers: dict[str, str] = field(default_factory=dict)
    drop: str = ""  # "early": half the body is read, "late": the work is done; then `status`, or the connection is cut
    times: int = 1


@dataclass
class Workspace:
    """The state of a workspace, and the calls made to it."""

    files: dict[str, bytes] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=lambda: {VOLUME})
    jobs: dict[int, dict[str, Any]] = field(default_factory=dict)
    run_states: list[dict[str, Any]] = field(default_factory=list)  # what one look at a run after another sees
    runs: list[dict[str, Any]] = field(default_factory=list)
    outputs: dict[int, dict[str, Any]] = field(default_factory=dict)
    started: dict[str, dict[str, Any]] = field(default_factory=dict)  # idempotency token to request
    experiments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, list[str]] = field(default_factory=dict)
    warehouses: list[dict[str, Any]] = field(default_factory=list)
    statements: list[dict[str, Any]] = field(default_factory=list)
    statement_states: list[str] = field(default_factory=lambda: ["SUCCEEDED"])
    chunks: list[bytes] = field(default_factory=list)
    rows: int = 0
    faults: list[Fault] = field(default_factory=list)
    delay: float = 0.0
    truncate: set[str] = field(default_factory=set)  # paths whose last byte gets lost once
    calls: list[tuple[str, str]] = field(default_factory=list)
    link_headers: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    lock: Any = field(default_factory=Lock)
    host: str = ""

    def puts(self) -> list[str]:
        """Paths of the photos sent so far, in order."""
        return [
            path for method, path in self.calls if method == "PUT" and path.startswith("/Volumes") and path != RECORD
        ]

    def record(self) -> dict[str, str]:
        """The record of what was sent."""
        return json.loads(gzip.decompress(self.files[RECORD]))["sha256"]

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for each in self.faults:
                if each.times > 0 and each.method == method and re.search(each.path, path):
                    each.times -= 1
                    return each
        return None


def answer_call(space: Workspace, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
    """Do what a call asks; None for an answer without a body, KeyError for what is not there."""
    for (wanted, pattern), work in ROUTES.items():
        match = re.fullmatch(pattern, path, re.S)
        if match and wanted == method:
            given = json.loads(body) if body and not path.startswith("/api/2.0/fs/") else {}
            return work(space, query | given, body, *match.groups())
    raise KeyError(path)


def _put_file(space: Workspace, _: dict, body: bytes, path: str) -> None:
    if "/".join(path.split("/")[:5]) not in space.volumes:
        raise KeyError(path)
    if path in space.truncate:
        space.truncate.remove(path)
        body = body[:-1]
    space.files[path] = body


def _list_folder(space: Workspace, asked: dict, _: bytes, folder: str) -> dict[str, Any]:
    below = sorted(path for path in list(space.files) if path.startswith(f"{folder}/"))
    if not below and folder not in space.volumes:
        raise KeyError(folder)
    start, entries = int(asked.get("page_token") or 0), []
    for path in below:
        name, _, deeper = path[len(folder) + 1 :].partition("/")
        if not deeper:
            entries.append({"name": name, "path": path, "is_directory": False, "file_size": len(space.files[path])})
    page = {"contents": entries[start : start + 50]}
    return page | ({"next_page_token": str(start + 50)} if start + 50 < len(entries) else {})


def _head_folder(space: Workspace, asked: dict, _: bytes, folder: str) -> None:
    if folder not in space.volumes:
        raise KeyError(folder)


def _list_jobs(space: Workspace, asked: dict, *_: Any) -> dict[str, Any]:
    jobs = [{"job_id": key, "settings": {"name": job["name"]}} for key, job in space.jobs.items()]
    if "name" in asked:
        jobs = [job for job in jobs if job["settings"]["name"].lower() == asked["name"].lower()]
    return {"jobs": jobs}


def _get_job(space: Workspace, asked: dict, *_: Any) -> dict[str, Any]:
    return {"job_id": int(asked["job_id"]), "settings": space.jobs[int(asked["job_id"])]}


def _run_now(space: Workspace, asked: dict, *_: Any) -> dict[str, Any]:
    space.started.setdefault(asked["idempotency_token"], asked)
    return {"run_id": 700}


def _get_run(space: Workspace, asked: dict, *_: Any) -> dict[str, Any]:
    if asked["run_id"] != "700":
        raise KeyError(f"Run {asked['run_id']}")
    return space.run_states.pop(0) if len(space.run_states) > 1 else space.run_states[0]


def _search_runs(space: Workspace, asked: dict, *_: Any) -> dict[str, Any]:
    runs = space.experiments[asked["experiment_ids"][0]]
    parent = re.fullmatch(r"tags\.`mlflow\.parentRunId` = '(\w+)'", asked["filter"])
    found = [
        run
        for run in runs
        for tags in [{tag["key"]: tag["value"] for tag in run["data"]["tags"]}]
        if (tags.get("mlflow.parentRunId") == parent[1] if parent else "fruits.model" in tags)
    ]
    return {"runs": sorted(found, key=lambda run: -run["info"]["start_time"])}


def _get_mlflow_run(space: Workspace, asked: dict, *_: Any) -> dict[str, Any]:
    runs = {run["info"]["run_id"]: run for each in space.experiments.values() for run in each}
    return {"run": runs[asked["run_id"]]}


def _get_experiment(space: Workspace, asked: dict, *_: Any) -> dict[str, Any]:
    space.experiments[asked["experiment_name"]]
    return {"experiment": {"experiment_id": asked["experiment_name"], "name": asked["experiment_name"]}}


def _get_model(space: Workspace, _: dict, __: bytes, name: str) -> dict[str, Any]:
    aliases = space.models[name]["aliases"]
    return {"full_name": name, "aliases": [{"alias_name": key, "version_num": each} for key, each in aliases.items()]}


def _set_alias(space: Workspace, asked: dict, _: bytes, name: str, alias: str) -> dict[str, Any]:
    space.models[name]["aliases"][alias] = asked["version_num"]
    return {"alias_name": alias, "version_num": asked["version_num"]}


def _get_table(space: Workspace, _: dict, __: bytes, name: str) -> dict[str, Any]:
    return {"full_name": name, "columns": [{"name": column} for column in space.tables[name]]}


def _list_tables(space: Workspace, asked: dict, *_: Any) -> dict[str, Any]:
    schema = f"{asked['catalog_name']}.{asked['schema_name']}."
    return {"tables": [{"name": name.removeprefix(schema)} for name in space.tables if name.startswith(schema)]}


def _statement(space: Workspace, asked: dict, *_: Any) -> dict[str, Any]:
    if "statement" in asked:
        space.statements.append(asked)
    state = space.statement_states.pop(0) if len(space.statement_states) > 1 else space.statement_states[0]
    status = {"state": state} | ({"error": {"message": "the table is\ndamaged"}} if state == "FAILED" else {})
    manifest = {"total_row_count": space.rows, "total_chunk_count": len(space.chunks), "truncated": False}
    return {"statement_id": "s1", "status": status, "manifest": manifest}


def _chunk(space: Workspace, _: dict, __: bytes, number: str) -> dict[str, Any]:
    link = f"{space.host}/link/{number}?signature=presigned-secret"
    return {"external_links": [{"chunk_index": int(number), "external_link": link, "http_headers": {"X-Key": "k"}}]}


JOBS, MODELS, SQL = "/api/2.2/jobs", "/api/2.1/unity-catalog/models", "/api/2.0/sql"
ROUTES: dict[tuple[str, str], Callable[..., Any]] = {
    ("HEAD", "/?"): lambda *_: {},
    ("GET", "/.well-known/databricks-config"): lambda *_: {},
    ("PUT", "/api/2.0/fs/files(/.+)"): _put_file,
    ("GET", "/api/2.0/fs/files(/.+)"): lambda space, asked, body, path: space.files[path],
    ("GET", "/api/2.0/fs/directories(/.+)"): _list_folder,
    ("HEAD", "/api/2.0/fs/directories(/.+)"): _head_folder,
    ("PUT", "/api/2.0/fs/directories(/.+)"): lambda *_: None,
    ("GET", f"{JOBS}/list"): _list_jobs,
    ("GET", f"{JOBS}/get"): _get_job,
    ("POST", f"{JOBS}/run-now"): _run_now,
    ("GET", f"{JOBS}/runs/get"): _get_run,
    ("GET", f"{JOBS}/runs/list"): lambda space, *_: {"runs": space.runs},
    ("GET", f"{JOBS}/runs/get-output"): lambda space, asked, *_: space.outputs[int(asked["run_id"])],
    ("GET", "/api/2.0/mlflow/experiments/get-by-name"): _get_experiment,
    ("POST", "/api/2.0/mlflow/runs/search"): _search_runs,
    ("GET", "/api/2.0/mlflow/runs/get"): _get_mlflow_run,
    ("GET", f"{MODELS}/([^/]+)/versions"): lambda space, asked, body, name: {
        "model_versions": space.models[name]["versions"]
    },
    ("GET", f"{MODELS}/([^/]+)"): _get_model,
    ("PUT", f"{MODELS}/([^/]+)/aliases/([^/]+)"): _set_alias,
    ("GET", "/api/2.1/unity-catalog/tables/(.+)"): _get_table,
    ("GET", "/api/2.1/unity-catalog/tables"): _list_tables,
    ("GET", f"{SQL}/warehouses"): lambda space, *_: {"warehouses": space.warehouses},
    ("POST", f"{SQL}/statements/?"): _statement,
    ("GET", f"{SQL}/statements/s1"): _statement,
    ("GET", f"{SQL}/statements/s1/result/chunks/(\\d+)"): _chunk,
    ("GET", "/link/(\\d+)"): lambda space, asked, body, number: space.chunks[int(number)],
}


def make_job(name: str, **more: str) -> dict[str, Any]:
    """Make the settings of a job with the parameters that the bundle gives it."""
    given = {
        "images": VOLUME,
        "lake": "main.fruits",
        "k": "0.95",
        "k_values": "8,32",
        "experiment": "/Workspace/Shared/fruits",
    }
    return {"name": name, "parameters": [{"name": key, "default": value} for key, value in (given | more).items()]}
