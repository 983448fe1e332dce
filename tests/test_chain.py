"""The four steps together, and what a second run costs."""

import re

import pytest
from conftest import versions

from fruits import cli

pytestmark = pytest.mark.sample


def test_every_photo_comes_out_as_scores(first_run):
    _, told = first_run
    assert list(told) == ["lake", "bronze", "silver", "gold", "compare"]
    assert (told["bronze"]["new"], told["silver"]["computed"]) == (24, 24)
    assert (told["gold"]["projected"], told["gold"]["k"]) == (24, 3)
    assert [row["k"] for row in told["compare"]["rows"]] == [2, 3, 4]
    assert told["compare"]["recommended_k"] in (2, 3, 4)


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
