"""Networks by name: the id says all that can change a feature, and wrong weights are one clear line."""

import hashlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED, TINY
from photos import jpeg

from fruits.errors import FruitsError, SettingError
from fruits.settings import from_text
from fruits.vision import backbone
from fruits.vision import weights as weights_files
from fruits.vision.backbone import extract_features, find_network, identify_backbone, load_network, write_network
from fruits.vision.decode import PREPROCESSING, decode_photo

HDF5 = b"\x89HDF\r\n\x1a\n"
IMAGENET = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
WEIGHTS = SHARED / "weights" / "mobilenet_v2_1.0_224_no_top.h5"
PHOTOS = SHARED / "fruits-360" / "Test"


@pytest.fixture
def weights(tmp_path):
    """Write a weights file and give its settings: `weights("a.h5", b"...", precision="int8")`."""

    def write(name, content, **texts):
        (tmp_path / name).write_bytes(content)
        return from_text({"weights": str(tmp_path / name)} | texts)

    return write


@pytest.fixture
def no_tensorflow(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # its import fails


def digest(content):
    return hashlib.sha256(content).hexdigest()[:8]


def test_the_id_holds_everything_that_can_change_a_feature(weights, no_tensorflow, monkeypatch):
    content = HDF5 + b"1"
    name = f"mobilenetv2-1.00-224-float32-{digest(content)}-{PREPROCESSING}"
    assert identify_backbone(weights("a.h5", content)).id == name
    assert identify_backbone(weights("b.h5", content)).id == name  # not the name of the file
    others = {
        identify_backbone(weights("a.h5", content, input_size="96")).id: name.replace("224", "96"),
        identify_backbone(weights("a.h5", content, precision="int8")).id: name.replace("float32", "int8"),
        identify_backbone(weights("a.h5", HDF5 + b"2")).id: name.replace(digest(content), digest(HDF5 + b"2")),
    }
    assert list(others) == list(others.values())
    monkeypatch.setattr(backbone, "PREPROCESSING", "p999")
    assert identify_backbone(weights("a.h5", content)).id == name.replace(PREPROCESSING, "p999")


def test_an_int8_id_holds_the_photos_it_was_calibrated_on(weights):
    named = identify_backbone(weights("a.h5", HDF5, precision="int8"))
    assert named.calibrated_on(["a", "b"]) == named.calibrated_on(["b", "a"])
    assert len({named.id, named.calibrated_on(["a"]).id, named.calibrated_on(["a", "b"]).id}) == 3


def test_a_made_network_is_used_as_it_is(no_tensorflow):
    for size in ("0", "32"):
        tiny = identify_backbone(from_text({"weights": str(TINY), "input_size": size}))
        assert (tiny.id, tiny.input_size) == (f"tflite-32-{digest(TINY.read_bytes())}-{PREPROCESSING}", 32)
    assert load_network(tiny) == find_network(tiny.id) == TINY.read_bytes()
    features = extract_features(TINY.read_bytes(), decode_photo(jpeg(), 32)[0])
    assert (features.shape, features.dtype) == ((1280,), np.float32)
    assert np.isfinite(features).all() and features.std() > 0


def test_a_network_once_made_is_kept(weights, no_tensorflow, monkeypatch):
    settings = weights("once.h5", HDF5 + b"once")
    made = []
    monkeypatch.setattr(backbone, "make_network", lambda *_: made.append(1) or b"network")
    assert [load_network(identify_backbone(settings)) for _ in range(2)] == [b"network"] * 2
    assert made == [1]
    assert find_network(identify_backbone(settings).id) == b"network"
    assert find_network("never-made") is None


@pytest.mark.parametrize(
    ("name", "content", "texts", "message"),
    [
        ("a.h5", b"Apple Red 1\n" * 9, {}, "is called .h5 and is no HDF5 file"),
        ("a.h5", b"", {}, "is called .h5 and is no HDF5 file"),
        ("a.zip", HDF5, {}, "is neither an .h5 nor a .tflite file"),
        ("a.tflite", b"", {}, "is not a network LiteRT can run"),
        ("a.tflite", b"Apple Red 1\n" * 9, {}, "is not a network LiteRT can run"),
        ("a.tflite", TINY.read_bytes()[:50_000], {}, "is not a network LiteRT can run"),
        (
            "a.tflite",
            TINY.read_bytes(),
            {"input_size": "96"},
            "input_size=96 does not fit weights='.*a.tflite', made for 32",
        ),
        ("a.tflite", TINY.read_bytes(), {"precision": "int8"}, "precision=int8 cannot change a made network"),
    ],
)
def test_weights_that_cannot_be_used_are_one_clear_line(weights, no_tensorflow, name, content, texts, message):
    with pytest.raises(SettingError, match=message) as caught:
        identify_backbone(weights(name, content, **texts))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["nowhere.h5", "folder.h5", "folder.tflite"])
def test_weights_that_are_no_file_are_one_clear_line(tmp_path, place):
    if place.startswith("folder"):
        (tmp_path / place).mkdir()
    with pytest.raises(SettingError, match=f"weights='.*{place}' is not a file"):
        identify_backbone(from_text({"weights": str(tmp_path / place)}))


def test_a_network_of_another_shape_is_refused(monkeypatch):
    monkeypatch.setattr(backbone, "MAX_COMPONENTS", 1000)  # as if 1000 were needed, which tiny.tflite does not give
    with pytest.raises(SettingError, match=r"takes uint8 \[1, 32, 32, 3\] and gives 1280 float32; needed are .* 1000"):
        identify_backbone(from_text({"weights": str(TINY)}))


def test_the_network_in_the_package_is_the_default(no_tensorflow):
    named = identify_backbone(from_text({}))
    content = (Path(backbone.__file__).parent / "fruits.tflite").read_bytes()
    assert named.id == f"fruits-{named.input_size}-{digest(content)}-{PREPROCESSING}"
    assert load_network(named) == content
    assert len(content) <= 3_000_000
    with pytest.raises(SettingError, match="precision=int8 cannot change a made network"):
        identify_backbone(from_text({"precision": "int8"}))


def test_imagenet_weights_are_taken_from_keras_own_folder(tmp_path, monkeypatch, no_tensorflow):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / IMAGENET).write_bytes(HDF5)
    for size in ("0", "224", "100"):  # there are none for 100 pixels: those for 224 serve
        assert identify_backbone(from_text({"input_size": size, "weights": "imagenet"})).weights.endswith(IMAGENET)


@pytest.mark.parametrize("network", ["refuses", "is silent"])
def test_imagenet_weights_that_cannot_be_had_are_one_clear_line(tmp_path, monkeypatch, network):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(weights_files, "DOWNLOAD_PATIENCE", 0.5)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if network == "is silent":
            server.listen()
        monkeypatch.setattr(weights_files, "IMAGENET_URL", f"http://127.0.0.1:{server.getsockname()[1]}/")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        start = time.monotonic()
        with pytest.raises(FruitsError, match=f"could not be downloaded .*; put {IMAGENET} into {tmp_path}") as caught:
            identify_backbone(from_text({"weights": "imagenet"}))
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 5
    assert not list(tmp_path.rglob("*.h5"))


def test_a_network_is_written_where_it_was_asked_for(tmp_path):
    written = write_network(from_text({"weights": str(TINY)}), str(tmp_path / "out.tflite"))
    assert (tmp_path / "out.tflite").read_bytes() == TINY.read_bytes()
    assert (written["input_size"], written["bytes"]) == (32, len(TINY.read_bytes()))


@pytest.mark.parametrize("file", ["out.h5", "nowhere/out.tflite", "."])
def test_a_network_that_could_not_be_written_is_not_made(tmp_path, file):
    with pytest.raises(SettingError, match=r"does not end in .tflite|cannot be written"):
        write_network(from_text({"weights": str(TINY)}), str(tmp_path / file))


def test_int8_is_calibrated_on_the_photos_of_a_folder_and_nothing_else(weights, tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    (folder / "Apple No. 1").mkdir(parents=True)  # a folder with a dot is no photo
    (folder / "Apple No. 1" / "1.JPG").write_bytes(jpeg())
    (folder / "notes.txt").write_text("text")
    seen = []
    monkeypatch.setattr(backbone, "make_network", lambda _, photos: seen.extend(photos) or b"network")
    settings = weights("calibrated.h5", HDF5, precision="int8", images=str(folder))
    write_network(settings, str(tmp_path / "out.tflite"))
    assert seen == [jpeg()]
    with pytest.raises(SettingError, match="precision=int8 needs images=DIR to calibrate on"):
        write_network(weights("calibrated.h5", HDF5, precision="int8"), str(tmp_path / "out.tflite"))


@pytest.fixture(scope="module")
def keras_results(tmp_path_factory):
    """Features by Keras' own predict, and our networks made from the same weights, all in a process of their own."""
    folder = tmp_path_factory.mktemp("keras")
    program = Path(__file__).with_name("keras_reference.py")
    photos = [sorted(label.iterdir())[0] for label in sorted(PHOTOS.iterdir())] if PHOTOS.is_dir() else []
    for number in range(0 if photos else 12):
        photos.append(folder / f"{number}.jpg")
        photos[-1].write_bytes(jpeg(color=(20 * number, 200 - 10 * number, 90), seed=number))
    (folder / "photos.txt").write_text("\n".join(map(str, photos)))
    run = subprocess.run(
        [sys.executable, str(program), str(folder), str(WEIGHTS if WEIGHTS.is_file() else "")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent), "FRUITS_CACHE": str(folder / "cache")},
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return folder, photos, np.load(folder / "features.npy"), (folder / "errors.txt").read_text().splitlines()


def features_by(file, photos):
    network = file.read_bytes()
    return np.stack([extract_features(network, decode_photo(photo.read_bytes(), 224)[0]) for photo in photos])


@pytest.mark.slow
def test_features_are_keras_own_on_one_photo_per_label(keras_results):
    folder, photos, expected, _ = keras_results
    features = features_by(folder / "float32.tflite", photos)
    assert features.shape == expected.shape == (len(photos), 1280)
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_int8_features_point_the_same_way(keras_results):
    folder, photos, expected, _ = keras_results
    features = features_by(folder / "int8.tflite", photos)
    cosine = (features * expected).sum(axis=1) / np.linalg.norm(features, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > (0.97 if WEIGHTS.is_file() else 0.9)  # random weights are not as kind
    assert np.abs(features - expected).max() > 1e-4  # it is another arithmetic
    assert (folder / "int8.tflite").stat().st_size < 0.5 * (folder / "float32.tflite").stat().st_size


@pytest.mark.slow
def test_weights_of_another_network_are_one_clear_line(keras_results):
    *_, errors = keras_results
    assert len(errors) == 3
    for line, name in zip(errors, ("narrow.h5", "dense.h5", "cut.h5"), strict=True):
        assert line.startswith("SettingError") and f"{name}' do not fit MobileNetV2" in line
