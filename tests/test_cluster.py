"""The release form on a cluster: a zip and an archive, submitted to Spark on two workers that have nothing of ours."""

import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cluster import Cluster, Submitted, start_cluster
from conftest import SHARED, Place, make_place, photo_set, versions
from local_release import ARCHITECTURE, CLONE, make_release

from fruits import cli
from fruits.bronze import BRONZE
from fruits.compare import COMPARISON
from fruits.gold import PCA, SPECTRUM
from fruits.platform.emr_release import build_release
from fruits.platform.emr_wheels import PYTHON
from fruits.platform.tables import Lake
from fruits.silver import SILVER

pytestmark = pytest.mark.cluster

ASKED = ("images", "lake", "weights", "tracking", "k", "k_values")
REAL = SHARED / "fruits-360"
PROBE = """
import importlib.util, json, os, sys
import pyarrow as pa
import fruits
from pyspark.sql import SparkSession

def look(batches):
    import numpy
    spec = importlib.util.find_spec("fruits")
    found = {
        "fruits": os.path.abspath(spec.origin) if spec else None,  # Spark names what it fetched by ./
        "numpy": os.path.abspath(numpy.__file__),
        "python": sys.executable,
        "path": [os.path.abspath(entry) for entry in sys.path],
        "cwd": os.getcwd(),
    }
    for _ in batches:
        yield pa.RecordBatch.from_pydict({"found": [json.dumps(found)]})

spark = SparkSession.builder.getOrCreate()
workers = spark.range(4, numPartitions=4).mapInArrow(look, "found string").collect()
print(json.dumps({"driver": fruits.__file__, "path": sys.path, "workers": [json.loads(row.found) for row in workers]}))
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """A master and two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    with start_cluster(folder, make_release(folder)) as started:
        yield started


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Place:
    """Photos on the disk that driver and workers share, a few real ones among them where there are any."""
    labels = sorted(REAL.glob("Training/*"))[:3]
    files = [
        file
        for split, number in (("Training", 3), ("Test", 1))
        for label in labels
        for file in sorted((REAL / split / label.name).glob("*.jpg"))[:number]
    ]
    real = {file.relative_to(REAL).as_posix(): file.read_bytes() for file in files}
    return make_place(tmp_path_factory.mktemp("place"), photo_set() | real)


@pytest.fixture(scope="module")
def first(cluster, here) -> Submitted:
    """The first run on the cluster."""
    return cluster.submit("run.py", "run", *here.options(*ASKED), "--json")


def test_two_workers_give_what_one_machine_gives(first, here, spark, tmp_path):
    assert first.status == 0, first.out + first.err
    alone = str(tmp_path / "lake")
    assert cli.main(["run", *here.options(*ASKED), "--lake", alone]) == 0

    def read(table, *columns):
        return [
            [tuple(row) for row in Lake(spark, lake).read(table).select(*columns).sort(*columns).collect()]
            for lake in (str(here.lake), alone)
        ]

    for table, columns in (
        (BRONZE, ("path", "sha256", "label", "split", "error", "content")),
        (SILVER, ("path", "backbone", "label", "split", "features", "error")),  # bit for bit
    ):
        together, single = read(table, *columns)
        assert together == single
        assert len(together) == len(list(here.images.rglob("*.jpg"))) >= 24
    assert all(row[4] and row[5] is None for row in together)
    together, single = read(SPECTRUM, "model", "component", "eigenvalue", "explained_variance_ratio")
    assert [row[:2] for row in together] == [row[:2] for row in single]
    largest = single[0][2]
    np.testing.assert_allclose([row[2] for row in together], [row[2] for row in single], rtol=0, atol=1e-12 * largest)
    np.testing.assert_allclose([row[3] for row in together], [row[3] for row in single], rtol=0, atol=1e-12)
    together, single = read(PCA, "path", "model", "pca")
    assert [row[:2] for row in together] == [row[:2] for row in single]
    np.testing.assert_allclose([row[2] for row in together], [row[2] for row in single], rtol=1e-9, atol=1e-9)
    measured = [column.split()[0] for column in COMPARISON.schema.split(", ") if column.split()[1] == "double"]
    together, single = read(COMPARISON, "k", "model", "recommended", "fingerprint", *measured)
    assert [row[:4] for row in together] == [row[:4] for row in single]
    np.testing.assert_allclose([row[4:] for row in together], [row[4:] for row in single], rtol=1e-9)


def test_both_workers_do_tasks(first):
    assert set(first.tasks) == {"worker-1", "worker-2"}
    assert min(first.tasks.values()) >= 5


def test_a_second_submit_with_nothing_new_writes_no_table_version(cluster, first, here):
    before = versions(here.lake)
    again = cluster.submit("run.py", "run", *here.options(*ASKED), "--json")
    assert again.status == 0, again.out + again.err
    told = json.loads(again.out.splitlines()[-1])
    assert (told["bronze"]["new"], told["silver"]["computed"], told["gold"]["projected"]) == (0, 0, 0)
    assert len(before) == 6
    assert versions(here.lake) == before


def test_driver_and_workers_have_the_package_from_the_zip_and_the_rest_from_the_archive(cluster):
    (cluster.release / "probe.py").write_text(PROBE)
    probe = cluster.submit("probe.py")
    assert probe.status == 0, probe.out + probe.err
    told = json.loads(probe.out.splitlines()[-1])
    name = cluster.package.name
    assert told["driver"].endswith(f"{name}/fruits/__init__.py")
    workers = told["workers"]
    assert len({found["cwd"] for found in workers}) == 2  # an executor of each worker
    for found in workers:
        assert found["fruits"] == f"{found['cwd']}/{name}/fruits/__init__.py"
        assert found["numpy"].startswith(f"{found['cwd']}/dependencies/numpy/")
        assert found["python"] == str(cluster.python)
    paths = {entry for found in [told, *workers] for entry in found["path"]}
    assert not {str(CLONE / "src"), sysconfig.get_path("purelib")} & paths


def test_a_submit_ends_with_the_status_of_the_command(cluster, tmp_path):
    (tmp_path / "empty").mkdir()
    failed = cluster.submit("run.py", "run", "--images", str(tmp_path / "empty"), "--lake", str(tmp_path / "lake"))
    assert failed.status == 1
    assert "fruits: no photo under images=" in failed.out
    assert "Traceback" not in failed.out
    wrong = cluster.submit("run.py", "run", "--images", str(tmp_path / "empty"), "--k", "0")
    assert wrong.status == 2
    assert "fruits: k=" in wrong.out


def test_the_step_of_a_cluster_is_submitted_in_its_own_words(cluster, here, tmp_path):
    lake = str(tmp_path / "lake")
    done = cluster.submit_step("bronze", "--images", str(here.images), "--lake", lake, "--json")
    assert done.status == 0, done.out + done.err
    told = json.loads(done.out.splitlines()[-1])
    assert told["bronze"]["new"] == len(list(here.images.rglob("*.jpg")))
    assert versions(lake) == {"bronze_images": 0}


def test_a_notebook_is_submitted_as_the_command_is(cluster, here, tmp_path):
    lake = str(tmp_path / "lake")
    done = cluster.submit("notebooks/01_bronze_images.py", "--images", str(here.images), "--lake", lake)
    assert done.status == 0, done.out + done.err
    photos = len(list(here.images.rglob("*.jpg")))
    assert f"'new': {photos}" in done.out
    assert versions(lake) == {"bronze_images": 0}


@pytest.mark.release
@pytest.mark.skipif(f"{sys.version_info.major}.{sys.version_info.minor}" != PYTHON, reason="its wheels are of another")
def test_what_build_makes_runs_where_nothing_else_is(here, tmp_path):
    """The real wheels, from the package registry or pip's cache."""
    built = build_release(ARCHITECTURE, None, str(tmp_path / "dist"))
    with start_cluster(tmp_path, Path(built["folder"])) as cluster:
        done = cluster.submit("run.py", "run", *here.options(*ASKED), "--lake", str(tmp_path / "lake"), "--json")
    assert done.status == 0, done.out + done.err
    told = json.loads(done.out.splitlines()[-1])
    assert told["bronze"]["new"] == told["silver"]["computed"] == len(list(here.images.rglob("*.jpg")))
    assert set(done.tasks) == {"worker-1", "worker-2"}
