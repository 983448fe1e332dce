"""The network: weights in, a .tflite of 9 MB out, made once by Keras on the driver and run by LiteRT in the workers."""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fruits.errors import FruitsError, SettingError
from fruits.platform.files import cache_folder
from fruits.platform.progress import report
from fruits.settings import MAX_COMPONENTS, Settings
from fruits.vision.decode import PREPROCESSING, decode_photo
from fruits.vision.weights import PACKAGED, find_imagenet, first_line, read_weights, write_whole

HDF5 = b"\x89HDF\r\n\x1a\n"  # how such a file starts
CALIBRATION_PHOTOS = 200


@dataclass(frozen=True)
class Backbone:
    """A network by name: everything that can change a feature is in the id.

    Attributes:
        id: architecture, alpha, input size, precision, weights hash and preprocessing version, readable.
        input_size: side in pixels of what it sees; 0 when only the file can tell.
        weights: local path of the .h5 or .tflite it is made from, or `fruits` for the network in the package.
        precision: float32 or int8.
    """

    id: str
    input_size: int
    weights: str
    precision: str

    def calibrated_on(self, photos: Sequence[str]) -> "Backbone":
        """Name the int8 network whose ranges come from these photos, given by their sha256."""
        digest = hashlib.sha256("".join(sorted(photos)).encode()).hexdigest()[:8]
        return replace(self, id=f"{self.id}-c{digest}")

    @property
    def cached(self) -> Path:
        """Where the network is kept on this machine."""
        return cache_folder() / f"{self.id}.tflite"


def identify_backbone(settings: Settings) -> Backbone:
    """Name the network the settings ask for, by reading its weights file; no network is made, no TensorFlow imported.

    `weights=imagenet` that this machine never saw are downloaded first, to where Keras looks for them too.

    Raises:
        SettingError: no such file, or neither .h5 nor .tflite in name and content.
        FruitsError: the ImageNet weights could not be downloaded.
    """
    if settings.weights == "fruits":
        path = Path(PACKAGED)
    elif settings.weights == "imagenet":
        path = find_imagenet(settings.input_size or 224)
    else:
        path = Path(settings.weights).expanduser()
        if not path.is_file():
            raise SettingError(
                f"weights={settings.weights!r} is not a file; give an .h5 or a .tflite, or fruits, or imagenet"
            )
        if path.suffix not in (".h5", ".tflite"):
            raise SettingError(f"weights={settings.weights!r} is neither an .h5 nor a .tflite file")
    weights = "fruits" if settings.weights == "fruits" else str(path)
    content = read_weights(weights)
    digest = hashlib.sha256(content).hexdigest()[:8]
    if path.suffix == ".tflite":
        if settings.precision != "float32":
            raise SettingError(f"precision={settings.precision} cannot change a made network; give its .h5 weights")
        size = _check_network(content, settings)
        kind = "fruits" if weights == "fruits" else "tflite"
        return Backbone(f"{kind}-{size}-{digest}-{PREPROCESSING}", size, weights, settings.precision)
    if not content.startswith(HDF5):
        raise SettingError(f"weights={str(path)!r} is called .h5 and is no HDF5 file; give Keras' *_no_top.h5")
    size = settings.input_size or 224
    name = f"mobilenetv2-1.00-{size}-{settings.precision}-{digest}-{PREPROCESSING}"
    return Backbone(name, size, weights, settings.precision)


def load_network(backbone: Backbone, calibration: Sequence[bytes] = ()) -> bytes:
    """Give the .tflite of a backbone: the file itself, the one cached on this machine, or one made now by Keras.

    Args:
        backbone: what identify_backbone gave.
        calibration: photos that show an int8 network the range of its numbers.

    Raises:
        SettingError: the weights do not fit MobileNetV2.
        FruitsError: TensorFlow is needed and not there.
    """
    if not backbone.cached.is_file():
        is_made = not backbone.weights.endswith(".h5")
        network = read_weights(backbone.weights) if is_made else make_network(backbone, calibration)
        backbone.cached.parent.mkdir(parents=True, exist_ok=True)
        write_whole(backbone.cached, network)
    return backbone.cached.read_bytes()


def write_network(settings: Settings, file: str) -> dict[str, object]:
    """Make the network of the settings and write it to a file; an int8 one is calibrated on photos of `images`.

    Raises:
        SettingError: no name or place for a .tflite, weights that do not fit, or no folder to calibrate on.
        FruitsError: the folder to calibrate on holds no photo that reads.
    """
    target = Path(file).expanduser()
    if target.suffix != ".tflite":
        raise SettingError(f"{file!r} does not end in .tflite")
    if not target.parent.is_dir() or target.is_dir():
        raise SettingError(f"{file!r} cannot be written: {str(target.parent)!r} is to be a folder, and it to be a file")
    backbone = identify_backbone(settings)
    photos = []
    if backbone.precision == "int8":
        folder = Path(settings.images or "?").expanduser()
        if not folder.is_dir():
            raise SettingError(
                f"precision=int8 needs images=DIR to calibrate on, images={settings.images!r} is no folder"
            )
        photos = _choose_photos(folder)
        backbone = backbone.calibrated_on([hashlib.sha256(photo).hexdigest() for photo in photos])
    network = load_network(backbone, photos)
    target.write_bytes(network)
    return {"file": str(target), "backbone": backbone.id, "input_size": backbone.input_size, "bytes": len(network)}


def find_network(backbone: str) -> bytes | None:
    """Give the network of a backbone's id if this machine has used it, None otherwise."""
    path = cache_folder() / f"{backbone}.tflite"
    return path.read_bytes() if path.is_file() else None


def make_network(backbone: Backbone, calibration: Sequence[bytes] = ()) -> bytes:
    """Build MobileNetV2 up to its average pooling, load the weights and convert it; the only user of TensorFlow.

    The network takes one photo, uint8 RGB of shape (1, size, size, 3), scales it to [-1, 1] itself and gives 1280
    float32. Batch 1 is the fastest in LiteRT, and memory does not depend on it.
    """
    report(f"network: making {backbone.id} with TensorFlow, once on this machine")
    keras, tf = import_tensorflow()
    size = backbone.input_size
    photo = keras.Input((size, size, 3), batch_size=1, dtype="uint8")
    try:
        network = keras.applications.MobileNetV2(
            include_top=False, weights=backbone.weights, pooling="avg", input_shape=(size, size, 3)
        )
    except Exception as error:
        reason = first_line(error)
        raise SettingError(
            f"weights={backbone.weights!r} do not fit MobileNetV2 alpha 1.0 without its top ({reason}); "
            "they are to be Keras' *_no_top.h5"
        ) from None
    model = keras.Model(photo, network(keras.layers.Rescaling(1 / 127.5, offset=-1)(photo)))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if backbone.precision == "int8":
        _calibrate(converter, tf, calibration, size)
    with Silence():
        return converter.convert()


def extract_features(network: bytes, pixels: np.ndarray) -> np.ndarray:
    """Run one photo, uint8 of shape (size, size, 3), through a network; returns float32 of shape (1280,)."""
    interpreter, given, result = _interpreter(network)
    interpreter.set_tensor(given, pixels[np.newaxis])
    interpreter.invoke()
    return interpreter.get_tensor(result).reshape(-1)


def input_size_of(network: bytes) -> int:
    """Give the side in pixels of what a network sees."""
    return int(_interpreter(network)[0].get_input_details()[0]["shape"][1])


def _interpreter(network: bytes) -> tuple[Any, int, int]:
    """Give this process's interpreter of a network, built at its first photo, and its input's and output's index.

    It is kept in `sys`, since functions that travel to workers by value get fresh module globals in every task.
    """
    kept = sys.__dict__.setdefault("_fruits_interpreters", {})
    key = hash(network)  # bytes remember their hash; computed once per task
    if key not in kept:
        from ai_edge_litert.interpreter import Interpreter

        kept.clear()  # a worker serves one backbone at a time; a stale one would only hold memory
        # One thread: Spark runs a task per core.
        with Silence():
            interpreter = Interpreter(model_content=network, num_threads=1)
            interpreter.allocate_tensors()
        details = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        kept[key] = interpreter, *(each["index"] for each in details)
    return kept[key]


def _check_network(network: bytes, settings: Settings) -> int:
    """Check that a .tflite is one of ours, photo in and 1280 numbers out; returns its input size."""
    try:
        interpreter, *_ = _interpreter(network)
        given, result = interpreter.get_input_details(), interpreter.get_output_details()
        shape, kind = given[0]["shape"].tolist(), given[0]["dtype"]
        features = int(np.prod(result[0]["shape"])) if result[0]["dtype"] == np.float32 else 0
    except (ValueError, RuntimeError) as error:
        raise SettingError(
            f"weights={settings.weights!r} is not a network LiteRT can run ({first_line(error)})"
        ) from None
    fits = len(shape) == 4 and shape[0] == 1 and shape[1] == shape[2] and shape[3] == 3 and kind == np.uint8
    if not fits or features != MAX_COMPONENTS:
        raise SettingError(
            f"weights={settings.weights!r} takes {kind.__name__} {shape} and gives {features} float32; "
            f"needed are uint8 [1, size, size, 3] and {MAX_COMPONENTS}"
        )
    if settings.input_size not in (0, shape[1]):
        raise SettingError(
            f"input_size={settings.input_size} does not fit weights={settings.weights!r}, made for {shape[1]}"
        )
    return shape[1]


def import_tensorflow() -> tuple[Any, Any]:
    """Import Keras and TensorFlow, on the processor and without what they print.

    Raises:
        FruitsError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        with Silence():
            import keras
            import tensorflow as tf
    except ImportError:
        raise FruitsError(
            "making a network needs TensorFlow; pip install 'fruits[weights]', or make it elsewhere with "
            "`fruits network OUT.tflite` and give weights=OUT.tflite"
        ) from None
    return keras, tf


def _choose_photos(folder: Path) -> list[bytes]:
    """A fixed choice of a folder's photos, by their names' hash; files that do not decode are passed over."""
    files = sorted(folder.rglob("*"), key=lambda each: hashlib.sha256(os.fsencode(each.relative_to(folder))).digest())
    contents = (each.read_bytes() for each in files if each.is_file())
    return [*islice((each for each in contents if decode_photo(each, 32)[1] is None), CALIBRATION_PHOTOS)]


def _calibrate(converter, tf, photos: Sequence[bytes], size: int) -> None:
    """Ask for int8 arithmetic, its ranges taken from photos."""
    pixels = [decoded for decoded, error in (decode_photo(photo, size) for photo in photos) if error is None]
    if not pixels:
        raise FruitsError("precision=int8 needs photos to calibrate on, and none could be read")
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([photo[np.newaxis]] for photo in pixels)


class Silence:
    """Send what C++ and TensorFlow print at file level to nowhere; errors come as exceptions all the same."""

    def __enter__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._kept = os.dup(1), os.dup(2)
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, kept in zip((1, 2), self._kept, strict=True):
            os.dup2(kept, number)
            os.close(kept)
