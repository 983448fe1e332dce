"""Weights files: in the package, from Keras, or anybody's; where they are, and their bytes."""

import os
import tempfile
import urllib.request
from http.client import HTTPException
from importlib import resources
from pathlib import Path

from fruits.errors import FruitsError
from fruits.platform.progress import report

PACKAGED = "fruits.tflite"  # the network of `weights=fruits`, made by training/train.py; docs/model-card.md
IMAGENET_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5"
IMAGENET_URL = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
IMAGENET_SIZES = (96, 128, 160, 192, 224)  # Keras has ImageNet weights trained at these; others start from 224
DOWNLOAD_PATIENCE = 15  # seconds without a byte


def read_weights(weights: str) -> bytes:
    """Read a weights file; that of the package may lie in a zip."""
    if weights == "fruits":
        return resources.files("fruits.vision").joinpath(PACKAGED).read_bytes()
    return Path(weights).read_bytes()


def find_imagenet(size: int) -> Path:
    """Give Keras' own ImageNet weights, downloaded into Keras' own folder when they are not there yet.

    Not by Keras: its download has no time limit, and leaves half a file under the whole one's name when it is killed.
    """
    name = IMAGENET_FILE.format(size=size if size in IMAGENET_SIZES else 224)
    path = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / name
    if not path.is_file():
        report(f"network: downloading {name}, once on this machine")
        try:
            with urllib.request.urlopen(IMAGENET_URL + name, timeout=DOWNLOAD_PATIENCE) as response:
                content = response.read()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        except (OSError, HTTPException) as error:
            raise FruitsError(
                f"weights=imagenet could not be downloaded ({first_line(error)}); "
                f"put {name} into {path.parent}, or give weights=PATH"
            ) from None
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, whoever else writes it now."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
