"""What a report shows is what the tables hold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from conftest import read_rows
from lake_reports import make_report
from photos import jpeg

from fruits.bronze import BRONZE
from fruits.confusion import count_confusions
from fruits.errors import FruitsError
from fruits.gold import PCA
from fruits.platform.tables import Lake
from fruits.report import PAUSE, LakeReport, choose_model, find_stages, gather_report
from fruits.status import TABLES
from fruits.thumbnails import SIDE, mean_colour

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def every(spark, first_run) -> LakeReport:
    """The report of all photos of the first run, which changed nothing there."""
    lake = Lake(spark, first_run[0].settings.lake)
    before = [lake.version(table) for table in TABLES]
    told = gather_report(spark, first_run[0].settings)
    assert [lake.version(table) for table in TABLES] == before
    return told


def test_a_report_shows_photos_scores_accuracies_and_times(first_run, every):
    (here, said), told = first_run, every
    assert (told.total, told.model) == (24, said["gold"]["model"])
    assert sorted(told.photos["path"]) == sorted(row.path for row in read_rows(here.lake, BRONZE))
    assert all(each.startswith(b"\xff\xd8") for each in told.photos["thumbnail"])
    scores = {row.path: row.pca for row in read_rows(here.lake, PCA)}
    np.testing.assert_allclose(told.scores, [scores[path] for path in told.photos["path"]], rtol=1e-6)
    assert told.cumulative[2] == pytest.approx(said["gold"]["explained"])
    assert [row["k"] for row in told.comparison] == [row["k"] for row in said["compare"]["rows"]]
    for row in told.comparison:
        confusion = told.confusions[row["k"]]
        assert sum(confusion.photos.values()) == 6
        assert sum(confusion.right.values()) / 6 == row["accuracy_test"]
        assert sum(pair["photos"] for pair in confusion.pairs) == 6 - sum(confusion.right.values())
    assert [stage["stage"] for stage in told.stages] == ["bronze", "silver", "gold", "compare"]
    assert [stage["rows"] for stage in told.stages] == [24, 24, 24, None]
    assert told.stages[0]["seconds"] is None
    assert all(0 < stage["seconds"] < 600 for stage in told.stages[1:])
    assert (told.reasons, told.errors) == ([], [])


def test_of_a_larger_lake_only_a_sample_leaves_the_workers_the_same_each_time(spark, first_run, every):
    told = gather_report(spark, first_run[0].settings, sample=5, components=2)
    assert (told.total, told.scores.shape) == (24, (5, 2))
    assert told.photos["path"][:5].tolist() == every.photos["path"][:5].tolist()
    assert told.scores.tolist() == every.scores[:5, :2].tolist()
    examples = {path for each in told.confusions.values() for pair in each.pairs for path in pair["examples"]}
    assert set(told.photos["path"][5:]) == examples - set(told.photos["path"][:5])
    assert told.photos["thumbnail"].notna().all()
    assert told.confusions == every.confusions  # counted over all photos


def test_a_lake_without_tables_is_an_error(spark, place):
    with pytest.raises(FruitsError, match="has no tables"):
        gather_report(spark, place().settings)


def test_confusions_need_the_moments_of_just_the_photos_of_the_fit(spark, first_run):
    here, said = first_run
    lake = Lake(spark, here.settings.lake)
    model = said["gold"]["model"]
    assert count_confusions(lake, model, [2])[2].photos == {"Fruit 0": 2, "Fruit 1": 2, "Fruit 2": 2}
    backbone, _, rest = model.rpartition("-k")[0].rpartition("-")
    assert count_confusions(lake, f"{backbone}-{rest[::-1]}x-k3", [2]) == {}
    assert count_confusions(lake, "another-network-k3", [2]) == {}


def commit(stage: str, minutes: float, rows: int | None = 10) -> tuple[str, dict]:
    return stage, {"when": NOON + timedelta(minutes=minutes), "version": 0, "rows": rows}


def test_a_stage_is_counted_from_the_end_of_the_one_before_it():
    stages = find_stages([commit("silver", 3), commit("bronze", 1), commit("silver", 2), commit("gold", 4, None)])
    assert [(each["stage"], each["commits"], each["rows"], each["seconds"]) for each in stages] == [
        ("bronze", 1, 10, None),
        ("silver", 2, 20, 120.0),
        ("gold", 1, None, 60.0),
    ]


def test_the_first_stage_after_a_pause_has_no_known_beginning():
    after = 2 + PAUSE / 60 + 1
    stages = find_stages([commit("bronze", 1), commit("silver", 2), commit("silver", after), commit("gold", after + 1)])
    assert [(each["stage"], each["seconds"]) for each in stages] == [
        ("bronze", None),
        ("silver", 60.0),
        ("silver", None),
        ("gold", 60.0),
    ]
    assert find_stages([]) == []


def test_the_model_is_that_of_the_newest_run_and_else_of_most_photos():
    projections = [{"model": "a-k3", "photos": 5}, {"model": "b-k3", "photos": 4}]
    runs = [{"name": "gone-k9"}, {"name": "b-k3"}, {"name": "a-k3"}]
    assert choose_model({"projections": projections, "runs": runs}) == "b-k3"
    assert choose_model({"projections": projections, "runs": []}) == "a-k3"
    assert choose_model({"projections": [], "runs": runs}) is None


@pytest.mark.parametrize(
    ("model", "recommended", "k"), [("a-k6", 3, 3), ("a-k6", 9, 6), ("a-k6", None, 6), (None, None, 0)]
)
def test_the_components_to_look_at_are_those_recommended_as_far_as_they_are_kept(model, recommended, k):
    compared = [{"k": each, "recommended": each == recommended} for each in (3, 6, 9)]
    assert replace(make_report(), model=model, comparison=compared).k == k


def test_the_colour_of_a_photo_is_that_of_what_is_not_white():
    pixels = np.full((4, 4, 3), 255, np.uint8)
    assert mean_colour(pixels) == 0xFFFFFF
    pixels[0, :2] = (200, 10, 30)
    assert mean_colour(pixels) == 0xC80A1E


def test_thumbnails_are_small_whatever_came_in(spark):
    from io import BytesIO

    from PIL import Image

    from fruits.thumbnails import make_thumbnails

    rows = [("a", jpeg((200, 10, 30), (300, 100))), ("b", b"no photo"), ("c", None)]
    (row,) = make_thumbnails(spark.createDataFrame(rows, "path string, content binary")).collect()
    assert row.path == "a"
    assert Image.open(BytesIO(bytes(row.thumbnail))).size == (SIDE, SIDE)
    assert abs((row.colour >> 16) - 200) < 8
