"""The training program on a handful of drawings, the quality program on numbers known by hand, and what is shipped."""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruits.samples import LABELS, draw_photo, draw_samples
from fruits.settings import Settings
from fruits.vision.backbone import identify_backbone

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "src" / "fruits" / "vision" / "fruits.tflite"
CARD = ROOT / "docs" / "model-card.md"
TINY = Path(__file__).parent / "golden" / "tiny.tflite"
# From random numbers and with any network as teacher: no weights of Keras are needed.
SMALL = ["--no-warm-start", "--size", "36", "--rounds", "2", "--batch", "8", "--label-weight", "0.5"]

sys.path.insert(0, str(ROOT / "training"))
import options  # noqa: E402
import quality  # noqa: E402
import teacher  # noqa: E402
import views  # noqa: E402


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    draw_samples(str(folder), 5 * len(LABELS))
    return folder


# With the first blocks of the network only: TensorFlow takes most of the time to write its steps down, block by block.
SHORTENED = "import runpy, student; student.STAGES = student.STAGES[:2]; runpy.run_module('train', run_name='__main__')"


def train(photos: Path, folder: Path, epochs: int, name: str, copy_to: str = "") -> dict:
    """Run the program; after its first epoch `copy_to` gets its checkpoints, the state on disk that a kill leaves."""
    command = [sys.executable, "-c", SHORTENED, "--images", photos, "--teacher", TINY]
    command += ["--out", folder / f"{name}.tflite", "--checkpoints", folder / name, "--epochs", str(epochs), *SMALL]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "training"), str(ROOT / "src")])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as run:
        if copy_to:
            while f"1 of {epochs} epochs" not in (line := run.stderr.readline()):
                assert line, f"it ended with status {run.wait()} before its first epoch"
            run.send_signal(signal.SIGSTOP)
            shutil.copytree(folder / name, folder / copy_to)
            run.send_signal(signal.SIGCONT)
        output, errors = run.communicate()
    assert run.returncode == 0, errors
    return json.loads(output) | {"errors": errors}


@pytest.mark.slow
def test_a_training_goes_on_from_what_a_kill_leaves_to_the_same_network(photos, tmp_path):
    whole = train(photos, tmp_path, 2, "a", copy_to="b")
    resumed = train(photos, tmp_path, 2, "b")
    assert "going on after epoch 1" in resumed["errors"]
    assert resumed["sha256"] == whole["sha256"]
    assert identify_backbone(Settings(weights=str(tmp_path / "b.tflite"))).input_size == 36
    assert (tmp_path / "a" / "mlflow.db").is_file()
    labels = set(LABELS) - set(options.held_out(LABELS)) - set(options.choosing(LABELS))
    assert whole["labels"] == len(labels)
    assert whole["photos"] == 4 * len(labels)


def test_held_out_labels_are_every_sixth_from_the_fourth_on_and_never_those_to_choose_by():
    labels = [f"{number:03}" for number in range(131)]
    assert options.held_out(labels) == [f"{number:03}" for number in range(3, 118, 6)]
    apart = options.choosing(labels)
    assert len(apart) == options.CHOOSING
    assert not set(apart) & set(options.held_out(labels))


def test_views_are_the_same_each_time_and_the_first_is_the_photo():
    photos = np.stack([np.asarray(draw_photo(label, 0)) for label in LABELS[:4]])
    chosen = options.TrainingOptions()
    first, holds = views.make_view(photos, 2, 0, chosen)
    assert holds
    np.testing.assert_array_equal(first, photos[2])
    made = [views.make_view(photos, 2, round_, chosen) for round_ in range(1, 30)]
    again = [views.make_view(photos, 2, round_, chosen)[0] for round_ in range(1, 30)]
    np.testing.assert_array_equal(np.stack([view for view, _ in made]), np.stack(again))
    assert {holds for _, holds in made} == {True, False}
    assert all(view.shape == photos[2].shape and view.dtype == np.uint8 for view, _ in made)


def test_a_quarter_turn_is_a_quarter_turn_and_the_background_is_the_white_outside():
    photo = np.full((40, 40, 3), 255, np.uint8)
    photo[10:30, 5:20] = (200, 30, 30)
    photo[15:20, 8:12] = 255  # a highlight
    np.testing.assert_array_equal(views.turn(photo, 90), np.rot90(photo))
    np.testing.assert_array_equal(views.turn(photo, 0), photo)
    share = views.find_background(photo)
    assert share[0, 0] == pytest.approx(1)
    assert share[17, 10] == pytest.approx(0, abs=1e-3)
    assert views.change_background(photo, np.full(3, 128))[2, 35].tolist() == [128, 128, 128]


def test_the_target_makes_the_spread_within_labels_even():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), 50)
    features = rng.normal(0, 3, (40, 6))[labels] + rng.normal(0, 1, (2000, 6)) * [5, 1, 1, 1, 1, 0.2]
    start = rng.normal(3, 2, (500, 6))
    target = teacher.fit_target(features, labels, 1e-6, start)
    result = target(features)
    centroids = np.stack([result[labels == label].mean(axis=0) for label in range(40)])
    within = np.cov((result - centroids[labels]).T)
    np.testing.assert_allclose(within, within[0, 0] * np.eye(6), atol=1e-3 * within[0, 0])
    np.testing.assert_allclose(result.mean(axis=0), start.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(result.var(axis=0).mean(), start.var(axis=0).mean(), rtol=1e-4)


def test_figures_are_those_worked_out_by_hand():
    # Labels lie at 0, 10 and 20 on a line. Of four questions one lies next to another label's photos.
    features = np.array([[-1.0, 0], [1, 0], [9, 0], [11, 0], [19, 0], [21, 0]]) + [[0, 0.1], [0, -0.1]] * 3
    judge = quality.fit_judge(features, ["a", "a", "b", "b", "c", "c"])
    assert judge(np.array([[0.5, 0], [9.0, 0], [21, 0], [20.0, 0]]), ["a", "b", "c", "a"]) == [0.75] * 4


def test_disturbed_photos_differ_as_their_names_say():
    content = _png(draw_photo("Apple Red", 0))
    pixels = {
        (kind, way): np.asarray(Image.open(io.BytesIO(quality.disturb_file(content, kind, way))), np.float64)
        for kind, ways in quality.DISTURBANCES.items()
        for way in range(len(ways))
    }
    plain = pixels["plain", 0]
    assert len(pixels) == 7
    np.testing.assert_allclose(pixels["brightness ±30 %", 0], plain * 0.7, atol=1)
    np.testing.assert_allclose(pixels["brightness ±30 %", 1], np.minimum(plain * 1.3, 255), atol=1)
    assert pixels["grey background", 0][0, 0].tolist() == [128, 128, 128]
    assert pixels["rotation ±20°", 0][0, 0].tolist() == [255, 255, 255]
    assert 0.5 < np.abs(pixels["JPEG quality 40", 0] - plain).mean() < 10


def test_the_network_in_the_package_is_the_one_the_card_describes():
    digest = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    assert re.findall(r"\b[0-9a-f]{64}\b", CARD.read_text()) == [digest]
    assert SHIPPED.stat().st_size <= 3_000_000
    assert identify_backbone(Settings(weights=str(SHIPPED))).input_size == options.TrainingOptions().size


def _png(photo: Image.Image) -> bytes:
    file = io.BytesIO()
    photo.save(file, "PNG")
    return file.getvalue()
