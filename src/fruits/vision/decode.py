"""From the bytes of a photo file to pixels; a file that is no photo gives an error in words instead.

Everything here travels to Spark workers pickled by value: functions and constants only, nothing of `fruits` imported.
"""

import io
import logging
import warnings

import numpy as np
from PIL import Image

# Part of the backbone id. Raise it whenever pixels change for some photo: features made before and after do not mix.
PREPROCESSING = "p1"

# A larger photo would take more than 600 MB to decode, in each of the worker's processes.
MAX_PIXELS = 150_000_000

# Pillow knows some 40 formats; the others are no photos, and EPS would even start a program.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

# EXIF orientation: what turns the stored pixels upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_photo(content: bytes | None, size: int) -> tuple[np.ndarray | None, str | None]:
    """Decode one photo to a square; its proportions are not kept, as the network was trained.

    Never raises, whatever the bytes: a bad photo is a row with an error. The same fault always gives the same words.

    Args:
        content: the file, whole; None counts as empty.
        size: side of the square in pixels.

    Returns:
        (pixels, None) or (None, error). pixels are uint8 RGB of shape (size, size, 3), read-only: EXIF orientation
        applied, first frame of an animation, transparency on white, 16 bits a channel scaled to 8.
    """
    if not content:
        return None, "empty file"
    with warnings.catch_warnings():
        # Odd metadata makes Pillow warn on standard error once per photo; the pixels are what counts.
        warnings.simplefilter("ignore")
        try:
            kind = _recognise(bytes(content[:16]))
            if kind is None:
                return None, f"not a photo in a format read here ({', '.join(FORMATS)})"
            # Not Image.open: it would check the size against a global of the process and raise without naming it.
            photo = Image.OPEN[kind][0](io.BytesIO(content), "")
            if photo.width * photo.height > MAX_PIXELS:
                limit = f"{MAX_PIXELS // 1_000_000} megapixels"
                return None, f"too large: {photo.width} x {photo.height} pixels, the limit is {limit}"
            return _read_pixels(photo, size), None
        except Exception as error:  # corrupt bytes surface as nearly any type, SyntaxError and MemoryError included
            return None, _describe(error)


def _recognise(head: bytes) -> str | None:
    """Name the format of a file from its first 16 bytes; None for a format that is not read."""
    for kind in FORMATS:
        if kind not in Image.OPEN:
            Image.init()
        _, accept = Image.OPEN.get(kind, (None, lambda _: False))
        if accept(head) is True:  # a text instead means that this Pillow was built without the format
            if kind == "TIFF":
                logging.getLogger("PIL.TiffImagePlugin").disabled = True  # what it logs is raised as well
            return kind
    return None


def _describe(error: Exception) -> str:
    """Say what is wrong in words that do not vary: the text of an error may hold an address or a count of bytes."""
    if isinstance(error, Image.DecompressionBombError):
        return "too large: more pixels than Pillow allows"  # WebP and tiled TIFF, checked before their size is known
    if "truncated" in str(error).lower():
        return "truncated photo"
    return f"unreadable photo ({type(error).__name__})"


def _read_pixels(photo: Image.Image, size: int) -> np.ndarray:
    """Decode an opened photo to uint8 RGB of shape (size, size, 3)."""
    if min(photo.size) >= 4 * size:
        # JPEG only, nothing elsewhere: decodes at 1/2, 1/4 or 1/8, never under twice the size wanted, which leaves
        # the resize enough to work on. 12,000 x 9,000 pixels then take 5 MB instead of 430.
        photo.draft(None, (2 * size, 2 * size))
    photo.load()
    turn = UPRIGHT.get(_read_orientation(photo))
    square = _scale_to_8_bits(photo, size) if photo.mode in ("I", "F") else _flatten(photo)
    if square.size != (size, size):
        square = square.resize((size, size), Image.Resampling.BICUBIC)
    if square.mode != "RGB":
        square = square.convert("RGB")
    # Turned last: the square is small, the photo may not be.
    return np.asarray(square if turn is None else square.transpose(turn))


def _read_orientation(photo: Image.Image) -> int:
    """Read the EXIF orientation, 1 to 8, of a loaded photo; metadata that cannot be read means upright."""
    try:
        return photo.getexif().get(0x0112, 1)
    except Exception:  # a corrupt EXIF block fails in as many ways as a corrupt photo, and the pixels are fine
        return 1


def _flatten(photo: Image.Image) -> Image.Image:
    """Convert a photo of 1 to 16 bits a channel to mode L or RGB; what is transparent lies on white."""
    if photo.mode.startswith("I;16"):
        # The high byte, as Pillow takes of 16-bit colour; its conversion of 16-bit grey clips at 255 instead.
        return Image.fromarray((np.asarray(photo) >> 8).astype(np.uint8))
    if photo.has_transparency_data:
        layer = photo if photo.mode in ("LA", "RGBA") else photo.convert("RGBA")
        white = Image.new("RGB", layer.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    # Grey stays grey until it is small: the same pixels in the end, and a third of the work.
    return photo if photo.mode in ("L", "RGB") else photo.convert("RGB")


def _scale_to_8_bits(photo: Image.Image, size: int) -> Image.Image:
    """Resize a photo of mode I (32-bit) or F (float) to the square, and scale it to mode L.

    These modes say nothing about their range: the narrowest usual one that holds the brightest pixel is taken.

    Raises:
        ValueError: a pixel is infinite or not a number.
    """
    brightest = photo.getextrema()[1]
    # Older Pillow opens a 16-bit PNG in mode I, where a dark photo must not be taken for one of 8 bits.
    usual = (65535,) if photo.format == "PNG" else (1, 255, 65535) if photo.mode == "F" else (255, 65535)
    full = next((each for each in usual if brightest <= each), brightest)
    values = np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC), np.float64) * (255 / full)
    if not np.isfinite(values).all():
        raise ValueError("pixels that are no numbers")
    return Image.fromarray((values.clip(0, 255) + 0.5).astype(np.uint8))
