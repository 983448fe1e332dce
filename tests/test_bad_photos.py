"""Bad photos and odd ones through bronze and silver: none stops the run, none disappears."""

import io

import numpy as np
import pytest
from conftest import TINY, make_place, read_rows
from photos import BAD_WORDS, bad_photos, huge_jpeg, odd_photos
from PIL import Image, ImageOps

from fruits import bronze
from fruits.bronze import BRONZE, ingest_photos, list_photos
from fruits.report import gather_report
from fruits.silver import SILVER, featurise_photos
from fruits.vision.backbone import extract_features
from fruits.vision.decode import decode_photo

GOOD = odd_photos() | {"huge.jpg": huge_jpeg()}
# What Pillow's own conversion gets right; test_decode.py has the values of the others.
PLAIN = ("cmyk.jpg", "grey.jpg", "exif_rotated.jpg", "palette.png", "rgb16.png", "animated.gif", "one_pixel.png")


@pytest.fixture(scope="module")
def lake(spark, tmp_path_factory):
    """Every bad and odd photo, one that is too large, and one that cannot be read; with a second run's counts."""
    photos = bad_photos() | GOOD | {"large.bmp": bytes(2_000_001)}
    named = {f"Training/Odd/{name}": content for name, content in photos.items()}
    here = make_place(tmp_path_factory.mktemp("bad"), named, max_bytes="2000000")

    def list_one_more(spark, root):
        row = "'Training/Odd/unreadable.jpg' path, 'file:/nowhere/gone.jpg' uri, 7L length"
        return list_photos(spark, root).union(spark.sql(f"SELECT {row}, timestamp_seconds(1.7e9) t"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bronze, "list_photos", list_one_more)
        runs = [(ingest_photos(spark, here.settings), featurise_photos(spark, here.settings)) for _ in range(2)]
    rows = {table: {row.path.split("/")[-1]: row for row in read_rows(here.lake, table)} for table in (BRONZE, SILVER)}
    return here, runs, rows[BRONZE], rows[SILVER]


def test_photos_in_are_features_and_errors(lake):
    _, (first, _), photos, rows = lake
    bronze_counts, silver_counts = first
    bad = len(bad_photos()) + 2
    assert set(photos) == set(rows)
    assert (bronze_counts["new"], bronze_counts["errors"]) == (len(GOOD) + bad, 3)
    assert (silver_counts["total"], silver_counts["errors"]) == (len(GOOD) + bad, bad)
    assert all((row.features is None) != (row.error is None) for row in rows.values())
    assert {name for name, row in rows.items() if row.error is None} == set(GOOD)


def test_a_bad_photo_is_not_tried_again(lake):
    _, (first, second), photos, _ = lake
    assert (second[0]["unchanged"], second[0]["errors"]) == (len(photos), 0)
    assert second[1] == first[1] | {"computed": 0, "reused": 0}


def test_each_bad_photo_says_why(lake):
    *_, rows = lake
    assert {name: row.error for name, row in rows.items() if row.error} == BAD_WORDS | {
        "large.bmp": "2000001 bytes, more than max_bytes=2000000",
        "unreadable.jpg": "file could not be read",
    }


def test_a_file_that_was_read_keeps_its_bytes_however_bad(lake):
    *_, photos, _ = lake
    for name, content in (bad_photos() | GOOD).items() - {("empty.jpg", b"")}:
        assert bytes(photos[name].content) == content
    assert [photos[name].content for name in ("large.bmp", "unreadable.jpg", "empty.jpg")] == [None] * 3


def test_a_lake_with_errors_and_no_fit_has_a_report(spark, lake):
    here, _, photos, rows = lake
    told = gather_report(spark, here.settings)
    without = {name for name, row in photos.items() if row.content is None}
    assert (told.model, told.scores.shape, told.confusions) == (None, (len(photos) - len(without), 0), {})
    bad = {name for name, row in rows.items() if row.error}
    unseen = told.photos.loc[told.photos["thumbnail"].isna(), "path"]
    assert {path.split("/")[-1] for path in unseen} == bad - without
    assert {each["path"].split("/")[-1] for each in told.errors} == bad
    assert sum(row["photos"] for row in told.reasons) == len(bad)  # once, where bronze and silver both say so


@pytest.mark.parametrize("name", GOOD)
def test_an_odd_photo_has_the_features_of_its_pixels(lake, name):
    *_, rows = lake
    network = TINY.read_bytes()
    features = extract_features(network, decode_photo(GOOD[name], 32)[0])
    assert features.std() > 0
    np.testing.assert_allclose(rows[name].features, features, rtol=1e-6)
    if name in PLAIN:
        plain = ImageOps.exif_transpose(Image.open(io.BytesIO(GOOD[name]))).convert("RGB")
        pixels = np.asarray(plain.resize((32, 32), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(rows[name].features, extract_features(network, pixels), atol=0.005)
    if name == "huge.jpg":
        grey = np.full((32, 32, 3), 120, np.uint8)
        np.testing.assert_allclose(rows[name].features, extract_features(network, grey), rtol=1e-6)
