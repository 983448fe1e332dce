"""The drawn photo set: its layout, that it is the same each time, and that it is neither trivial nor impossible."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruits.errors import FruitsError, SettingError
from fruits.samples import LABELS, draw_photo, draw_samples, sample_photo


@pytest.fixture(scope="module")
def drawn():
    """Draw 15 photos of each label: (pixels (n, 100, 100, 3), labels (n,), whether each is for Test (n,))."""
    pixels = np.array([draw_photo(label, index) for label in LABELS for index in range(15)], dtype=np.float32)
    return pixels, np.repeat(LABELS, 15), np.arange(len(pixels)) % 15 % 5 == 1


def score_nearest_centroid(values: np.ndarray, labels: np.ndarray, test: np.ndarray) -> float:
    """Give the share of Test whose nearest mean of Training, over (n, d) values, is that of its label."""
    centroids = np.array([values[(labels == label) & ~test].mean(0) for label in LABELS])
    nearest = ((values[test][:, None] - centroids) ** 2).sum(-1).argmin(1)
    return float((np.array(LABELS)[nearest] == labels[test]).mean())


def describe_outline(photo: np.ndarray) -> np.ndarray:
    """Measure the fruit of a photo whichever way it is turned: area, length, width, contrast and grain."""
    grey = photo.mean(-1)
    y, x = np.nonzero(photo.min(-1) < 235)
    down, right = np.gradient(grey)
    slope = np.hypot(down, right)[y, x]
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(x, y)))
    return np.array([np.sqrt(len(x)), *spread, np.median(slope), slope.mean(), grey[y, x].std()])


def test_photos_are_laid_out_as_in_fruits_360(tmp_path):
    summary = draw_samples(str(tmp_path), 100)
    files = sorted(tmp_path.rglob("*"))
    photos = [file.relative_to(tmp_path).parts for file in files if file.is_file()]
    splits = Counter(split for split, _, _ in photos)
    assert summary == {
        "folder": str(tmp_path),
        "photos": 100,
        "labels": len(LABELS),
        "training": splits["Training"],
        "test": splits["Test"],
    }
    assert len(photos) == 100 and set(splits) == {"Training", "Test"}
    assert 0.15 < splits["Test"] / 100 < 0.25
    per_label = Counter(label for _, label, _ in photos)
    assert set(per_label) == set(LABELS) and max(per_label.values()) - min(per_label.values()) == 1
    assert all(name.removesuffix(".jpg").isdigit() for _, _, name in photos)


def test_a_photo_is_a_jpeg_of_100_pixels_on_white(tmp_path):
    draw_samples(str(tmp_path), 1)
    photo = Image.open(tmp_path / "Training" / LABELS[0] / "0.jpg")
    assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (100, 100))
    corners = np.asarray(photo)[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners > 250).all() and np.asarray(photo)[50, 50].min() < 200


def test_labels_are_many_and_some_hold_a_space():
    assert len(LABELS) >= 12 and {"Apple Red", "Banana", "Kiwi", "Pear Green"} <= set(LABELS)


def test_two_photos_of_each_label_are_enough_for_both_splits(tmp_path):
    draw_samples(str(tmp_path), 2 * len(LABELS))
    for split in ("Training", "Test"):
        assert {folder.name for folder in (tmp_path / split).iterdir()} == set(LABELS)


def test_drawing_more_photos_keeps_those_drawn_and_files_of_others(tmp_path):
    stranger = tmp_path / "Training" / LABELS[0] / "mine.txt"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("mine")
    draw_samples(str(tmp_path), 20)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.jpg")}
    draw_samples(str(tmp_path), 40)
    after = {file: file.read_bytes() for file in tmp_path.rglob("*.jpg")}
    assert stranger.read_text() == "mine"
    assert (len(before), len(after)) == (20, 40) and before.items() <= after.items()
    assert len(set(after.values())) == 40


def test_photos_that_are_there_as_drawn_are_not_written_again(tmp_path):
    draw_samples(str(tmp_path), 4)
    first, *others = sorted(tmp_path.rglob("*.jpg"))
    first.write_bytes(b"changed")
    before = {file: file.stat().st_mtime_ns for file in others}
    draw_samples(str(tmp_path), 4)
    assert {file: file.stat().st_mtime_ns for file in others} == before
    assert first.read_bytes() != b"changed"


def test_every_photo_of_a_label_is_another_one(drawn):
    pixels, _, _ = drawn
    assert len({photo.tobytes() for photo in pixels}) == len(pixels)
    assert (pixels.min(axis=(1, 2, 3)) < 180).all() and (pixels.max(axis=(1, 2, 3)) == 255).all()


def test_labels_are_not_told_apart_by_their_mean_colour(drawn):
    pixels, labels, test = drawn
    assert 2 / len(LABELS) < score_nearest_centroid(pixels.mean(axis=(1, 2)), labels, test) < 0.6


def test_labels_are_told_apart_by_colour_outline_and_grain(drawn):
    pixels, labels, test = drawn
    colours = [photo[photo.min(-1) < 235].mean(0) for photo in pixels]
    values = np.hstack([colours, [describe_outline(photo) for photo in pixels]])
    values = (values - values[~test].mean(0)) / values[~test].std(0)
    within = np.concatenate(
        [values[(labels == label) & ~test] - values[(labels == label) & ~test].mean(0) for label in LABELS]
    )
    whitened = values @ np.linalg.inv(np.linalg.cholesky(np.cov(within.T))).T  # a linear discriminant
    assert score_nearest_centroid(whitened, labels, test) > 0.9


def test_fruits_of_one_colour_have_different_outlines(drawn):
    pixels, labels, _ = drawn
    outlines = {
        label: np.mean([describe_outline(photo) for photo in pixels[labels == label]], axis=0) for label in LABELS
    }
    longer = {label: length / width for label, (_, width, length, *_) in outlines.items()}
    assert longer["Banana"] > 1.8 and longer["Cherry"] > 1.15
    assert (
        max(longer["Apple Green"], longer["Orange"]) < 1.15 < min(longer["Pear Green"], longer["Lemon"], longer["Plum"])
    )


def test_the_sample_photo_is_the_first_drawn(tmp_path):
    draw_samples(str(tmp_path), 2)
    assert sample_photo() == (tmp_path / "Training" / "Apple Red" / "0.jpg").read_bytes()
    assert Image.open(io.BytesIO(sample_photo())).size == (100, 100)


@pytest.mark.parametrize("photos", [0, -3])
def test_fewer_than_one_photo_is_a_wrong_setting(tmp_path, photos):
    with pytest.raises(SettingError, match=rf"photos={photos} .*try photos=500"):
        draw_samples(str(tmp_path / "set"), photos)
    assert not (tmp_path / "set").exists()


def test_a_uri_is_not_taken_for_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=r"s3://bucket/photos.*local folder"):
        draw_samples("s3://bucket/photos", 1)
    assert not list(tmp_path.iterdir())


def test_a_label_that_is_not_drawn_names_those_that_are():
    with pytest.raises(SettingError, match=r"'Durian' .* Banana, "):
        draw_photo("Durian", 0)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    Path(tmp_path, "file").write_text("in the way")
    with pytest.raises(FruitsError, match=r"file/set.* cannot be written"):
        draw_samples(str(tmp_path / "file" / "set"), 1)
