"""A lake that two Sparks share: made by 4.1 with Delta 4.2, continued by 3.5 with Delta 3.3, and back again."""

import json
import os
import subprocess
from pathlib import Path

import pyspark
import pytest
from conftest import photo_set, versions
from photos import jpeg

from fruits import cli
from fruits.bronze import BRONZE
from fruits.gold import PCA
from fruits.platform.tables import Lake

NEWER = Path(__file__).parents[1] / ".venv" / "bin" / "fruits"  # where `make setup` puts it, beside .venv-spark35
SETTINGS = ("images", "lake", "weights", "tracking", "k", "k_values")


@pytest.mark.old
@pytest.mark.skipif(not pyspark.__version__.startswith("3.5"), reason="make test-spark35 runs this, on Spark 3.5")
def test_a_lake_of_spark_4_is_read_continued_and_given_back(spark, place, capsys):
    here = place(photo_set(labels=2, training=4))
    words = ["run", *here.options(*SETTINGS), "--json"]

    def run_newer() -> dict:
        own = {name: text for name, text in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
        done = subprocess.run([NEWER, *words], env=own, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run_here() -> dict:
        capsys.readouterr()
        assert cli.main(words) == 0
        return json.loads(capsys.readouterr().out)

    made = run_newer()
    before = versions(here.lake)
    told = run_here()
    assert versions(here.lake) == before != {}
    assert (told["silver"]["backbone"], told["gold"]["model"]) == (made["silver"]["backbone"], made["gold"]["model"])

    here.write("Training/Fruit 0/new.jpg", jpeg(seed=1))
    here.write("Test/Fruit 1/4.jpg", jpeg(seed=2))
    told = run_here()
    assert (told["bronze"]["new"], told["bronze"]["changed"], told["silver"]["computed"]) == (1, 1, 2)
    assert told["gold"]["projected"] == 13
    lake = Lake(spark, str(here.lake))
    assert lake.read(BRONZE).count() == lake.read(PCA).where(f"model = '{told['gold']['model']}'").count() == 13
    before = versions(here.lake)
    assert run_newer()["bronze"]["unchanged"] == 13
    assert versions(here.lake) == before
