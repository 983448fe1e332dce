"""The whole chain on S3, through S3A as on EMR, against a server on this machine; in a process of its own.

`make test-s3` runs it: its session has a package of 600 MB that no other test needs.
"""

import json
import logging
import os
import re
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import boto3
import numpy as np
import pyarrow.parquet as pq
import pytest
from aws import REGION
from conftest import TINY, make_place, photo_set
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from photos import jpeg

from fruits import cli
from fruits.bronze import list_photos
from fruits.platform import s3_listing

pytestmark = pytest.mark.s3

BUCKET = "fruits-photos"
ODD = "Training/Pêche Blanche/a+b %20.jpg"
PHOTOS = photo_set() | {
    ODD: jpeg(seed=4001),
    "Training/Apple Red 1/é ü.jpg": jpeg(seed=4002),
    "Test/Pêche Blanche/100%.jpg": jpeg(seed=4003),
    "Test/a=b/#1 [x] {y}.jpg": jpeg(seed=4004),
    "Training/Apple Red 1/bad.jpg": b"no photo at all",
}
NEW = {"Training/Pêche Blanche/new+1.jpg": jpeg(seed=4005), "Test/Fruit 0/new %2B.jpg": jpeg(seed=4006)}
OPTIONS = ("--weights", str(TINY), "--k", "3", "--k-values", "2,4")
CHAIN = ("run", "--images", f"s3://{BUCKET}/photos", "--lake", f"s3://{BUCKET}/lake", *OPTIONS)


class Requests(logging.Handler):
    """Requests to the server as (method, path), from its log."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if found := re.search(r"(GET|HEAD|PUT|POST|DELETE) (/\S*) HTTP", record.getMessage()):
            self.seen.append((found[1], unquote(found[2])))

    def photos_read(self) -> set[str]:
        start = f"/{BUCKET}/photos/"
        return {path.removeprefix(start) for method, path in self.seen if method == "GET" and path.startswith(start)}


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Path]:
    """Everything this machine could keep of a run is under one folder: work, tmp and what Spark spills."""
    folder = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("work", "tmp", "store"):
            (folder / name).mkdir()
        patch.chdir(folder / "work")
        for name in ("TMPDIR", "SPARK_LOCAL_DIRS", "LOCAL_DIRS"):
            patch.setenv(name, str(folder / "tmp"))
        patch.setattr(tempfile, "tempdir", None)
        yield folder


@pytest.fixture(scope="module")
def s3(machine) -> Iterator[SimpleNamespace]:
    """A server with a bucket of photos; client, requests and endpoint."""
    requests, log = Requests(), logging.getLogger("werkzeug")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "handlers", [requests])
        patch.setattr(log, "propagate", False)
        log.setLevel(logging.INFO)
        server.start()
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        for name, text in {
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_TRACKING_URI": f"sqlite:///{machine}/store/mlflow.db",
        }.items():
            patch.setenv(name, text)
        client = boto3.client("s3")
        for bucket in (BUCKET, "closed-bucket"):
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        put(client, PHOTOS)
        yield SimpleNamespace(client=client, requests=requests, endpoint=endpoint)
    server.stop()


def put(client, photos: dict[str, bytes]) -> None:
    for path, content in photos.items():
        client.put_object(Bucket=BUCKET, Key=f"photos/{path}", Body=content)


def keys(client, prefix: str = "") -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [each["Key"] for page in pages for each in page.get("Contents", ())]


@pytest.fixture
def fruits(s3, capsys) -> Callable[..., tuple[int, dict | None, str, list]]:
    """Run a command in this process: status, its JSON, standard error, and the requests it sent."""

    def run(*words: str) -> tuple[int, dict | None, str, list]:
        capsys.readouterr()
        s3.requests.seen.clear()
        status = cli.main([*words, "--json"])
        said = capsys.readouterr()
        return status, json.loads(said.out) if said.out else None, said.err, list(s3.requests.seen)

    return run


@pytest.fixture(scope="module")
def first(s3) -> None:
    assert cli.main([*CHAIN]) == 0


@pytest.fixture(scope="module")
def session(first):
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession()


def rows(session, lake: str, table: str, *columns: str) -> list:
    frame = session.read.format("delta").load(f"{lake}/{table}")
    return frame.select(*columns).orderBy(*columns[: 2 if len(columns) > 2 else 1]).collect()


def test_nothing_of_a_photo_is_left_on_the_disk_of_the_machine(first, machine, cache):
    """The first of these tests: the next one sorts photos, and Spark then puts them on its disk."""
    assert not [each for each in (machine / "work").rglob("*") if each.is_file()]
    content = [photo[-90:-10] for photo in PHOTOS.values() if len(photo) > 100]
    for folder in (machine, cache):
        for file in (each for each in folder.rglob("*") if each.is_file() and each.suffix != ".jsa"):
            raw = file.read_bytes()
            assert not any(part in raw for part in content), file


def test_results_are_those_of_the_same_photos_in_a_folder(session, tmp_path):
    here = make_place(tmp_path, PHOTOS)
    options = ("images", "lake", "weights", "tracking", "k", "k_values")
    assert cli.main(["run", *here.options(*options)]) == 0
    there, local = f"s3://{BUCKET}/lake", str(here.lake)
    columns = ("path", "length", "sha256", "label", "split", "error", "content")
    assert rows(session, there, "bronze_images", *columns) == rows(session, local, "bronze_images", *columns)
    columns = ("path", "backbone", "sha256", "label", "split", "features", "error")
    features = rows(session, there, "silver_features", *columns)
    assert features == rows(session, local, "silver_features", *columns)
    assert {row["path"]: row["error"] for row in features}.keys() == PHOTOS.keys()
    assert sum(row["error"] is not None for row in features) == 1
    columns = ("model", "component", "eigenvalue", "cumulative_explained_variance_ratio")
    spectra = [rows(session, lake, "gold_spectrum", *columns) for lake in (there, local)]
    assert [row[:2] for row in spectra[0]] == [row[:2] for row in spectra[1]] != []
    for column in (2, 3):
        values = [np.array([row[column] for row in spectrum]) for spectrum in spectra]
        np.testing.assert_allclose(*values, rtol=1e-12, atol=1e-12)
    scores = [rows(session, lake, "gold_pca", "path", "model", "label", "pca") for lake in (there, local)]
    assert [row[:3] for row in scores[0]] == [row[:3] for row in scores[1]]
    np.testing.assert_allclose(*([row["pca"] for row in each] for each in scores), rtol=0, atol=1e-9)


def test_models_and_figures_of_the_run_are_in_s3_and_load_from_there(s3, first, machine):
    import mlflow

    kept = keys(s3.client, "mlflow/")
    assert any(key.endswith("/MLmodel") for key in kept)
    assert any(key.endswith(".png") for key in kept)
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    assert mlflow.sklearn.load_model("models:/fruits_pca@champion").n_components_ == 3
    assert os.listdir(machine / "store") == ["mlflow.db"]


def test_a_second_run_with_nothing_new_reads_no_photo_and_writes_nothing(s3, first, fruits):
    before = keys(s3.client)
    status, told, _, requests = fruits(*CHAIN)
    assert (status, told["bronze"]["unchanged"]) == (0, len(PHOTOS))
    assert {method for method, _ in requests} == {"GET", "HEAD"}
    assert not [path for _, path in requests if path.startswith(f"/{BUCKET}/photos/")]  # a listing names none
    assert keys(s3.client) == before
    assert len(requests) < 400


def test_the_listing_of_the_bucket_is_that_of_spark(s3, session, monkeypatch):
    root = f"s3://{BUCKET}/photos"
    hidden = {"_tmp/a.jpg": b"1", "Training/.b.jpg": b"2", "Training/c.txt": b"3", "Training/_d=1.jpg": b"4"}
    empty = {"Test/a=b/empty.jpg": b"", "Test/wide\u3000space\u00a0.jpg": b"5", "Test/folder/": b""}
    try:
        put(s3.client, hidden | empty)
        ours = sorted(tuple(row) for row in list_photos(session, root).collect())
        monkeypatch.setattr(s3_listing, "list_photos", lambda root: None)
        sparks = sorted(tuple(row) for row in list_photos(session, root).collect())
    finally:
        for path in hidden | empty:
            s3.client.delete_object(Bucket=BUCKET, Key=f"photos/{path}")
    assert ours == sparks
    assert {row[0] for row in ours} == {*PHOTOS, "Training/_d=1.jpg", *list(empty)[:2]}


def test_status_names_labels_as_they_are_spelt(first, fruits):
    status, told, _, requests = fruits("status", "--lake", f"s3://{BUCKET}/lake")
    assert status == 0
    assert {row["label"] for row in told["photos"]} == {path.split("/")[1] for path in PHOTOS}
    assert [row["version"] for row in told["models"]] != []
    assert {method for method, _ in requests} == {"GET", "HEAD"}


def test_photos_that_came_are_read_and_no_others_and_a_forgotten_one_leaves_no_byte(s3, session, fruits, tmp_path):
    put(s3.client, NEW)
    status, told, _, _ = fruits(*CHAIN)
    assert (status, told["bronze"]["new"], told["silver"]["computed"]) == (0, 2, 2)
    assert s3.requests.photos_read() == set(NEW)
    assert told["gold"]["projected"] == len(PHOTOS) + len(NEW) - 1  # a Training photo more: another fit

    assert holders(s3.client, ODD, tmp_path / "before") != []
    s3.client.delete_object(Bucket=BUCKET, Key=f"photos/{ODD}")
    status, told, _, _ = fruits("forget", "--lake", f"s3://{BUCKET}/lake", ODD)
    assert (status, told["not_found"]) == (0, [])
    # Scores are there twice: of the latest fit and of the champion.
    assert told["erased"] == {"bronze_images": 1, "silver_features": 1, "gold_pca": 2}
    assert holders(s3.client, ODD, tmp_path / "after") == []
    status, told, _, _ = fruits(*CHAIN)
    assert (status, told["bronze"]["listed"]) == (0, len(PHOTOS) + len(NEW) - 1)
    assert holders(s3.client, ODD, tmp_path / "later") == []


def holders(client, path: str, folder: Path) -> list[str]:
    """Objects that hold the photo's bytes, or a row of it; Parquet is read, for it may be compressed."""
    content, found = PHOTOS[path], []
    folder.mkdir()
    for key in keys(client):
        raw = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        is_held = content[-90:-10] in raw
        if key.endswith(".parquet"):
            file = folder / "object.parquet"
            file.write_bytes(raw)
            is_held |= any(
                row.get("content") == content or row.get("path") == path
                for row in pq.ParquetFile(file).read().to_pylist()
            )
        found += [key] * is_held
    return found


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (("bronze", "--images", f"s3://{BUCKET}/none", "--lake", f"s3://{BUCKET}/x"), 2, "is not there"),
        (("bronze", "--images", "s3://no-bucket-here/photos", "--lake", f"s3://{BUCKET}/x"), 2, "no such bucket"),
        (("bronze", "--images", f"s3://{BUCKET}/photos", "--lake", "s3://no-bucket-here/x"), 2, "no such bucket"),
        (("status", "--lake", "s3://no-bucket-here/lake"), 2, "no such bucket"),
        (("status", "--lake", f"s3://{BUCKET}/none"), 1, "has no tables"),
        (("forget", "--lake", f"s3://{BUCKET}/none", "a.jpg"), 1, "nothing to forget"),
        (("bronze", "--images", "s3://away/photos", "--lake", f"s3://{BUCKET}/x"), 1, "S3 does not answer"),
    ],
)
def test_what_cannot_be_reached_is_one_line_after_seconds(session, fruits, words, status, line):
    session.conf.set("fs.s3a.bucket.away.endpoint", "http://127.0.0.1:9")
    start = time.monotonic()
    ended, _, said, _ = fruits(*words)
    assert (ended, said.count("\n")) == (status, 1), said
    assert said.startswith("fruits: ")
    assert line in said
    assert time.monotonic() - start < 15


def test_a_login_that_s3_refuses_is_one_line(s3, session, fruits):
    def check_logins_after(calls: int) -> None:
        request = urllib.request.Request(
            f"{s3.endpoint}/moto-api/reset-auth", data=str(calls).encode(), headers={"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request).close()

    check_logins_after(0)
    try:
        ended, _, said, _ = fruits("status", "--lake", "s3://closed-bucket/lake")
    finally:
        check_logins_after(10**9)
    assert (ended, said.count("\n")) == (1, 1), said
    assert "S3 refuses this login" in said
