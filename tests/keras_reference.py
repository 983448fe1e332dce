"""Run by test_backbone.py in a process of its own: Keras' own features of photos, and our networks of its weights."""

import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from fruits.errors import FruitsError
from fruits.settings import from_text
from fruits.vision.backbone import identify_backbone, load_network, write_network

folder, weights = Path(sys.argv[1]), sys.argv[2]
photos = [Path(line) for line in (folder / "photos.txt").read_text().splitlines()]
keras.utils.set_random_seed(0)
network = keras.applications.MobileNetV2(
    include_top=False, weights=weights or None, pooling="avg", input_shape=(224, 224, 3)
)
squares = [Image.open(photo).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC) for photo in photos]
pixels = keras.applications.mobilenet_v2.preprocess_input(np.stack([np.asarray(each, np.float32) for each in squares]))
if not weights:
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(pixels, training=True)  # which random numbers need, or they fade from layer to layer to nothing in int8
    weights = str(folder / "random.h5")
    network.save(weights)
np.save(folder / "features.npy", network.predict(pixels, batch_size=16, verbose=0))

calibration = folder / "calibration"
calibration.mkdir()
for number, photo in enumerate(photos[:: len(photos) // 12]):  # int8 arithmetic, to see its ranges, runs slowly
    (calibration / f"{number}.jpg").write_bytes(photo.read_bytes())
for precision in ("float32", "int8"):
    texts = {"weights": weights, "precision": precision, "images": str(calibration)}
    write_network(from_text(texts), str(folder / f"{precision}.tflite"))

narrow = keras.applications.MobileNetV2(include_top=False, weights=None, alpha=0.35, input_shape=(96, 96, 3))
narrow.save(folder / "narrow.h5")
dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
dense.save(folder / "dense.h5")
(folder / "cut.h5").write_bytes(Path(weights).read_bytes()[:100_000])
with (folder / "errors.txt").open("w") as errors:
    for name in ("narrow.h5", "dense.h5", "cut.h5"):
        try:
            load_network(identify_backbone(from_text({"weights": str(folder / name), "input_size": "96"})))
        except FruitsError as error:
            errors.write(f"{type(error).__name__}: {error}\n")
