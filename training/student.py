"""The network to be trained: MobileNetV2 with narrower blocks on small photos; its start and its way to a .tflite."""

from collections.abc import Iterator

import numpy as np
from options import TrainingOptions

from fruits.vision.backbone import Silence, import_tensorflow

MOMENTUM = 0.9  # Keras' 0.999 averages over more steps than a short training has
# Channels between blocks, times a block is repeated, stride of its first: Sandler and others, MobileNetV2, table 2.
STAGES = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
EXPANSION = 6  # of the teacher's blocks; the first has none


def build_student(options: TrainingOptions):
    """Build the network: pixels (n, size, size, 3), 0 to 255, in; 1280 float32, 0 to 6, out.

    Layers are called as in Keras' MobileNetV2, and differ from it in the width within blocks alone. The outermost
    pixels are cut off inside the network, so that photos of Fruits-360 need no resize.
    """
    keras, _ = import_tensorflow()
    layers = keras.layers
    photo = keras.Input((options.size, options.size, 3))
    x = layers.Cropping2D(options.crop)(layers.Rescaling(1 / 127.5, offset=-1)(photo))
    x = _activate(layers, layers.Conv2D(32, 3, 2, "same", use_bias=False, name="Conv1")(x), "bn_Conv1")
    number = 0
    for width, repeats, first_stride in STAGES:
        for stride in (first_stride, *[1] * (repeats - 1)):
            x = _add_block(layers, x, number, width, stride, options)
            number += 1
    x = _activate(layers, layers.Conv2D(1280, 1, use_bias=False, name="Conv_1")(x), "Conv_1_bn")
    return keras.Model(photo, layers.GlobalAveragePooling2D(dtype="float32")(x))


def _add_block(layers, x, number: int, width: int, stride: int, options: TrainingOptions):
    """Add an inverted residual block: widen, look at the neighbourhood, narrow, and add what came in."""
    before, name = x, f"block_{number}_" if number else "expanded_conv_"
    if number:
        inner = int(x.shape[-1] * options.expansion)
        x = layers.Conv2D(inner, 1, use_bias=False, name=f"{name}expand")(x)
        x = _activate(layers, x, f"{name}expand_BN")
    x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=f"{name}depthwise")(x)
    x = _activate(layers, x, f"{name}depthwise_BN")
    x = layers.Conv2D(width, 1, use_bias=False, name=f"{name}project")(x)
    x = layers.BatchNormalization(momentum=MOMENTUM, epsilon=1e-3, name=f"{name}project_BN")(x)
    return layers.Add()([before, x]) if stride == 1 and before.shape[-1] == width else x


def _activate(layers, x, name: str):
    return layers.ReLU(6.0)(layers.BatchNormalization(momentum=MOMENTUM, epsilon=1e-3, name=name)(x))


def warm_start(student, weights: str, photos: np.ndarray, options: TrainingOptions) -> None:
    """Begin with the teacher's weights; within a block, with the channels that give most to what leaves it.

    Args:
        student: what build_student gave; changed.
        weights: Keras' MobileNetV2 weights, alpha 1.0.
        photos: (n, size, size, 3) uint8, to see which channels matter.
        options: crop.
    """
    keras, _ = import_tensorflow()
    inside = photos[:, options.crop : options.size - options.crop, options.crop : options.size - options.crop]
    teacher = keras.applications.MobileNetV2(include_top=False, weights=weights, input_shape=inside.shape[1:])
    _measure_norms(keras, teacher, keras.applications.mobilenet_v2.preprocess_input(inside.astype(np.float32)))
    inner = np.arange(32)  # of the teacher's channels within the block; the first block keeps all
    for layer in student.layers:
        if not layer.weights:
            continue
        values = teacher.get_layer(layer.name).get_weights()
        if layer.name.endswith("expand"):
            inner = _choose_channels(teacher, layer.name.removesuffix("expand"), layer.filters)
        if layer.name.endswith(("expand", "expand_BN", "depthwise_BN")):
            values = [each[..., inner] for each in values]
        elif layer.name.endswith(("depthwise", "project")):
            values = [each[:, :, inner] for each in values]
        layer.set_weights(values)


def _measure_norms(keras, teacher, photos: np.ndarray) -> None:
    """Give every batch norm the mean and variance it meets on these photos; what the network gives stays the same.

    The teacher's own are of other photos, of another size, and those of a network made from a .tflite are no
    statistics at all: training, which takes them from its batches, would begin with another network.
    """
    norms = [layer for layer in teacher.layers if isinstance(layer, keras.layers.BatchNormalization)]
    inputs = keras.Model(teacher.input, [layer.input for layer in norms])
    parts = [inputs(photos[start : start + 32]) for start in range(0, len(photos), 32)]
    for layer, values in zip(norms, zip(*parts, strict=True), strict=True):
        values = np.concatenate([np.asarray(each).reshape(-1, each.shape[-1]) for each in values])
        scale, shift, mean, variance = layer.get_weights()
        slope = scale / np.sqrt(variance + layer.epsilon)
        met, spread = values.mean(axis=0), values.var(axis=0)
        layer.set_weights([slope * np.sqrt(spread + layer.epsilon), shift + slope * (met - mean), met, spread])


def _choose_channels(teacher, block: str, count: int) -> np.ndarray:
    """Choose channels within a block of the teacher by the variance each gives to the block's result, (count,) int."""
    scale, shift = teacher.get_layer(f"{block}depthwise_BN").get_weights()[:2]
    normal = np.random.default_rng(0).normal(size=(1000, 1))
    spread = np.clip(normal * scale + shift, 0, 6).std(axis=0)
    # What the projection's own batch norm makes of its outputs counts.
    outer, _, _, variance = teacher.get_layer(f"{block}project_BN").get_weights()
    kernel = teacher.get_layer(f"{block}project").get_weights()[0][0, 0] * (outer / np.sqrt(variance + 1e-3))
    return np.sort(np.argsort(-spread * np.linalg.norm(kernel, axis=1), kind="stable")[:count])


def convert_student(student, calibration: np.ndarray | None, options: TrainingOptions) -> bytes:
    """Convert to a .tflite as the chain wants it: one uint8 photo in, 1280 float32 out; batch norm is folded.

    Args:
        student: trained.
        calibration: (n, size, size, 3) uint8, views that show the range of all numbers: int8 arithmetic; None: float32.
        options: size.
    """
    keras, tf = import_tensorflow()
    photo = keras.Input((options.size, options.size, 3), batch_size=1, dtype="uint8")
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(photo, student(photo)))
    if calibration is not None:

        def views() -> Iterator[list[np.ndarray]]:
            return ([view[np.newaxis]] for view in calibration)

        converter.optimizations, converter.representative_dataset = [tf.lite.Optimize.DEFAULT], views
    with Silence():
        return converter.convert()
