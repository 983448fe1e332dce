"""Make tests/golden/tiny.tflite: a network of 80 kB with the form of ours, uint8 (1, 32, 32, 3) in, 1280 float32 out.

Random weights from a fixed seed: its features tell photos apart, and mean nothing. `python tests/golden/regenerate.py`
"""

from pathlib import Path

import keras
import tensorflow as tf

keras.utils.set_random_seed(20)
photo = keras.Input((32, 32, 3), batch_size=1, dtype="uint8")
layer = keras.layers.Rescaling(1 / 127.5, offset=-1)(photo)
layer = keras.layers.Conv2D(12, 5, strides=3, activation="relu")(layer)
layer = keras.layers.Conv2D(16, 3, strides=2, activation="relu")(layer)
layer = keras.layers.GlobalAveragePooling2D()(layer)
layer = keras.layers.Dense(1280, activation="relu", bias_initializer=keras.initializers.RandomUniform(-0.1, 0.1))(layer)
network = tf.lite.TFLiteConverter.from_keras_model(keras.Model(photo, layer)).convert()
Path(__file__).with_name("tiny.tflite").write_bytes(network)
