"""The four steps together, and what a second run costs."""

import json
import re
import sys

import pyarrow as pa
import pytest
from conftest import photo_set, versions

from fruits import cli

pytestmark = pytest.mark.old


@pytest.mark.sample
def test_every_photo_comes_out_as_scores(first_run):
    _, told = first_run
    assert list(told) == ["lake", "bronze", "silver", "gold", "compare"]
    assert (told["bronze"]["new"], told["silver"]["computed"]) == (24, 24)
    assert (told["gold"]["projected"], told["gold"]["k"]) == (24, 3)
    assert [row["k"] for row in told["compare"]["rows"]] == [2, 3, 4]
    assert told["compare"]["recommended_k"] in (2, 3, 4)
    assert not {"tensorflow", "keras"} & set(sys.modules)  # a made network needs neither, in any step


@pytest.mark.sample
def test_a_second_run_with_nothing_new_writes_no_table_version_and_says_so(first_run, capsys):
    here, told = first_run
    before = versions(here.lake)
    assert set(before) == {
        "bronze_images",
        "silver_features",
        "gold_moments",
        "gold_spectrum",
        "gold_pca",
        "gold_comparison",
    }
    capsys.readouterr()
    assert cli.main(["run", *here.options("images", "lake", "weights", "tracking", "k", "k_values")]) == 0
    assert versions(here.lake) == before
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 120
    assert re.match(r"bronze    24 photos: 0 new, 0 changed, 0 removed, 24 unchanged, 0 not read \(", lines[1])
    assert re.match(r"silver    24 photos: 0 computed, ", lines[2])
    assert re.match(r"gold      k=3 explains \d+\.\d% of the variance, 0 photos projected", lines[4])
    (recommended,) = (line for line in lines if "<- recommended" in line)
    assert int(recommended.split()[0]) == told["compare"]["recommended_k"]


def test_the_network_of_the_package_needs_no_tensorflow_in_driver_or_worker(spark, place, capsys):
    here = place(photo_set(), weights="fruits")
    assert cli.main(["bronze", *here.options("images", "lake")]) == 0
    capsys.readouterr()
    assert cli.main(["silver", *here.options("lake"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["silver"]["backbone"].startswith("fruits-")
    assert (told["silver"]["computed"], told["silver"]["errors"]) == (24, 0)

    def look(batches):
        for _ in batches:
            networks = len(sys.__dict__.get("_fruits_interpreters", ()))
            found = [[networks], [any(name in sys.modules for name in ("tensorflow", "keras"))]]
            yield pa.RecordBatch.from_arrays([pa.array(each) for each in found], names=["networks", "tensorflow"])

    workers = spark.range(8).repartition(8).mapInArrow(look, "networks bigint, tensorflow boolean").collect()
    assert any(row.networks for row in workers)  # a worker that ran the network is among them
    assert not any(row.tensorflow for row in workers)
    assert not {"tensorflow", "keras"} & set(sys.modules)
