"""bronze_images -> small pictures, and the colour of what they show; decoded in the workers."""

import io
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from PIL import Image
from pyspark.sql import DataFrame

from fruits.vision.decode import decode_photo

SIDE = 64  # pixels
THUMBNAILS = "path string, thumbnail binary, colour int"
ARROW = pa.schema([("path", pa.string()), ("thumbnail", pa.binary()), ("colour", pa.int32())])
WHITE = 235  # a background: brighter than this in every channel


def make_thumbnails(photos: DataFrame) -> DataFrame:
    """Shrink photos to SIDE x SIDE pixels.

    Args:
        photos: columns path and content.

    Returns:
        path, thumbnail (a JPEG) and colour (0xRRGGBB, the mean of what is no white background), lazily; a photo that
        cannot be read is left out.
    """
    return photos.select("path", "content").mapInArrow(_shrink_batches, THUMBNAILS)


def _shrink_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rows = []
        for path, content in zip(batch["path"].to_pylist(), batch["content"], strict=True):
            pixels, _ = decode_photo(content.as_py(), SIDE)
            if pixels is not None:
                rows.append({"path": path, "thumbnail": _encode(pixels), "colour": mean_colour(pixels)})
        yield pa.RecordBatch.from_pylist(rows, schema=ARROW)


def mean_colour(pixels: np.ndarray) -> int:
    """Give the mean colour of what is not white, as 0xRRGGBB; of everything, where all is white.

    Args:
        pixels: uint8 RGB of shape (height, width, 3).
    """
    shown = pixels[pixels.min(axis=2) < WHITE]
    red, green, blue = (shown if len(shown) else pixels.reshape(-1, 3)).mean(axis=0).astype(int).tolist()
    return red << 16 | green << 8 | blue


def _encode(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()
