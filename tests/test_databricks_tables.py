"""`fruits databricks download`: a table of the workspace as a file here, as it comes and not before it is whole."""

import csv
import io
import json
import tracemalloc
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from databricks_server import TOKEN, Fault, Workspace, make_job
from databricks_server import no_login as no_login
from databricks_server import type_in as type_in
from databricks_server import workspace as workspace

from fruits.platform import databricks_tables

SCHEMA = pa.schema([("path", pa.string()), ("label", pa.string()), ("pca", pa.list_(pa.float64()))])


@pytest.fixture
def download(type_in, tmp_path, monkeypatch):
    """Run `fruits databricks download …` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(databricks_tables, "PAUSE", 0.01)
    return partial(type_in, "download")


def as_stream(rows: list[dict], schema: pa.Schema = SCHEMA, batch: int = 1000) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_table(pa.Table.from_pylist(rows, schema), max_chunksize=batch)
    return sink.getvalue()


ROWS = [
    [{"path": f"Test/Äpfel/{i}.jpg", "label": "Äpfel", "pca": [i, 0.5]} for i in range(3)],
    [{"path": 'a "b", c.jpg', "label": None, "pca": None}],
]


@pytest.fixture
def gold(workspace) -> Workspace:
    """A table of four rows that comes in two parts, and one warehouse."""
    workspace.tables = {
        "main.fruits.gold_pca": ["path", "label", "pca"],
        "main.fruits.bronze_images": ["path", "content"],
    }
    workspace.warehouses = [{"id": "w1", "name": "Starter", "state": "STOPPED"}]
    workspace.chunks, workspace.rows = [as_stream(rows) for rows in ROWS], 4
    return workspace


def test_a_table_becomes_a_parquet_file(gold, download, tmp_path):
    gold.statement_states = ["PENDING", "RUNNING", "SUCCEEDED"]
    status, out, err = download("gold_pca", "--json")
    assert status == 0
    assert pq.read_table(tmp_path / "gold_pca.parquet").to_pylist() == ROWS[0] + ROWS[1]
    result = json.loads(out)
    assert (result["rows"], result["file"]) == (4, "gold_pca.parquet")
    assert result["bytes"] == (tmp_path / "gold_pca.parquet").stat().st_size
    assert "download: 4 of 4 rows" in err
    [asked] = gold.statements
    assert asked["statement"] == "SELECT `path`, `label`, `pca` FROM `main`.`fruits`.`gold_pca`"
    assert (asked["warehouse_id"], asked["disposition"], asked["format"]) == ("w1", "EXTERNAL_LINKS", "ARROW_STREAM")


def test_a_csv_has_its_lists_as_json(gold, download, tmp_path):
    assert download("gold_pca", "--to", "scores.csv")[0] == 0
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["label"]) for row in rows] == [
        (row["path"], row["label"] or "") for row in ROWS[0] + ROWS[1]
    ]
    assert json.loads(rows[2]["pca"]) == [2, 0.5]
    assert rows[3]["pca"] == ""


def test_links_are_fetched_without_the_login_and_with_their_own_headers(gold, download, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {TOKEN}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert download("gold_pca")[0] == 0
    assert [headers.get("Authorization") for headers in gold.link_headers] == [None, None]
    assert {headers.get("X-Key") for headers in gold.link_headers} == {"k"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [Fault("GET", "/link/1", status=403), Fault("GET", "/link/1", drop="early"), Fault("GET", "/chunks/1", status=429)],
    ids=["expired", "cut", "throttled"],
)
def test_a_part_that_does_not_come_is_fetched_by_a_new_link(gold, download, tmp_path, fault):
    gold.faults.append(fault)
    assert download("gold_pca")[0] == 0
    assert pq.read_table(tmp_path / "gold_pca.parquet").num_rows == 4


def test_the_photos_themselves_are_left_out(gold, download):
    gold.chunks, gold.rows = [as_stream([{"path": "a"}], pa.schema([("path", pa.string())]))], 1
    assert download("bronze_images")[0] == 0
    assert gold.statements[0]["statement"] == "SELECT `path` FROM `main`.`fruits`.`bronze_images`"


def test_memory_does_not_grow_with_the_table(gold, download):
    rows = [{"path": "x" * 50, "label": "y", "pca": [0.5] * 50} for _ in range(4000)]
    gold.chunks, gold.rows = [as_stream(rows)] * 12, 48_000
    used = []
    write = databricks_tables._write_parts

    def measure(*arguments: object) -> int:
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        done = write(*arguments)
        used.append(pa.total_allocated_bytes() - before)
        used.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(databricks_tables, "_write_parts", measure)
        assert download("gold_pca")[0] == 0
    assert max(used) < 3 * len(gold.chunks[0])


@pytest.mark.parametrize(
    ("change", "line", "status", "says"),
    [
        ({}, "gold_pac", 1, "no table 'gold_pac' in main.fruits; it has bronze_images, gold_pca"),
        ({"tables": {}}, "gold_pca", 1, "no table 'gold_pca' in main.fruits; it has none"),
        ({"warehouses": []}, "gold_pca", 1, "no SQL warehouse to take without a choice, there are none; make one"),
        ({}, "gold_pca --warehouse Big", 1, "no SQL warehouse 'Big'; there are 'Starter'"),
        ({"rows": 0}, "gold_pca", 1, "main.fruits.gold_pca has no rows yet"),
        ({"rows": 9}, "gold_pca", 1, "main.fruits.gold_pca has 9 rows and 4 came"),
        (
            {"statement_states": ["FAILED"]},
            "gold_pca",
            1,
            "the warehouse could not read the table: failed, the table is d",
        ),
        (
            {"faults": [Fault("GET", "/link/1", status=403, times=99)]},
            "gold_pca",
            1,
            "part 2 of the table could not be",
        ),
        (
            {"jobs": {11: make_job("fruits", lake="/dbfs/lake")}},
            "gold_pca",
            2,
            "lake='/dbfs/lake' is not catalog.schema",
        ),
        ({}, "gold_pca --to gold.xlsx", 2, "to='gold.xlsx' is not a file that ends in .parquet or .csv"),
        ({}, "gold_pca --to none/gold.csv", 2, "to='none/gold.csv' is in no folder that can be written to"),
    ],
)
def test_what_cannot_be_downloaded_is_one_line_and_leaves_no_file(gold, download, tmp_path, change, line, status, says):
    for name, value in change.items():
        setattr(gold, name, value)
    code, out, err = download(*line.split())
    assert (code, out) == (status, "")
    assert err.splitlines()[-1].startswith(f"fruits: {says}")
    assert list(tmp_path.glob("gold*")) == []


def warehouse(name: str, state: str = "STOPPED", serverless: bool = False) -> dict:
    return {"id": f"id of {name}", "name": name, "state": state, "enable_serverless_compute": serverless}


@pytest.mark.parametrize(
    ("there", "wanted", "taken"),
    [
        ([warehouse("a")], None, "a"),
        ([warehouse("a"), warehouse("b", "RUNNING")], None, "b"),
        ([warehouse("a"), warehouse("b", serverless=True)], None, "b"),
        ([warehouse("a"), warehouse("b", "RUNNING")], "a", "a"),
        ([warehouse("a"), warehouse("b")], "id of b", "b"),
    ],
)
def test_a_warehouse_is_the_one_asked_for_or_the_cheapest_to_wake(gold, download, there, wanted, taken):
    gold.warehouses = there
    assert download("gold_pca", *(["--warehouse", wanted] if wanted else []))[0] == 0
    assert gold.statements[0]["warehouse_id"] == f"id of {taken}"


def test_two_sleeping_warehouses_are_a_question(gold, download):
    gold.warehouses = [warehouse("a"), warehouse("b")]
    status, _, err = download("gold_pca")
    assert (status, "there are 'a', 'b'; choose one with --warehouse NAME" in err) == (1, True)
