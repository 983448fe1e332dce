"""Photos made in memory for the tests: plain ones, every odd one that reads, and every one that does not."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

RED = (200, 30, 30)

# What is said of each of bad_photos().
BAD_WORDS = {
    "empty.jpg": "empty file",
    "text.jpg": "not a photo in a format read here (JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF)",
    "truncated.jpg": "truncated photo",
    "truncated_header.jpg": "truncated photo",
    "truncated.png": "truncated photo",
    "huge.png": "too large: 20000 x 9000 pixels, the limit is 150 megapixels",
}


def jpeg(color: tuple[int, int, int] = RED, size: tuple[int, int] = (100, 100), quality: int = 90, seed=None) -> bytes:
    """Make a JPEG of one colour; a seed adds noise, so that two seeds give two different photos.

    Args:
        color: red, green and blue, 0 to 255.
        size: width and height in pixels.
        quality: of the JPEG, 1 to 95.
        seed: of the noise, 30 levels either way; None for a flat photo.
    """
    photo = Image.new("RGB", size, color)
    if seed is not None:
        noise = np.random.default_rng(seed).integers(-30, 31, size=(size[1], size[0], 3))
        photo = Image.fromarray((np.asarray(photo) + noise).clip(0, 255).astype(np.uint8))
    return encode(photo, "JPEG", quality=quality)


def encode(photo: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    photo.save(file, kind, **options)
    return file.getvalue()


def odd_photos() -> dict[str, bytes]:
    """Make one readable photo of each odd sort, named after its sort; test_decode.py says what each must look like."""
    red = Image.new("RGB", (40, 30), RED)
    grey = Image.new("L", (40, 30), 100)
    orientation = Image.Exif()
    orientation[0x0112] = 6  # the camera was held upright: the viewer turns the photo clockwise by 90 degrees
    return {
        "cmyk.jpg": encode(red.convert("CMYK"), "JPEG", quality=95),
        "grey.jpg": encode(grey, "JPEG", quality=95),
        "exif_rotated.jpg": encode(left_blue(), "JPEG", quality=95, subsampling=0, exif=orientation),
        "exif_rotated.png": encode(left_blue(), "PNG", exif=orientation),
        "exif_rotated.tiff": encode(left_blue(), "TIFF", exif=orientation),
        "palette.png": encode(red.quantize(4), "PNG"),
        "palette_alpha.png": encode(red.quantize(4), "PNG", transparency=0),
        "alpha.png": encode(half_clear(), "PNG"),
        "grey_alpha.png": encode(half_clear().convert("LA"), "PNG"),
        "color_key.png": encode(left_blue(), "PNG", transparency=(0, 0, 255)),
        "one_bit.png": encode(left_blue().convert("L").point(lambda value: 255 * (value > 50)).convert("1"), "PNG"),
        "grey16.png": png16(np.full((30, 40, 1), 100 * 257)),
        "rgb16.png": png16(np.full((30, 40, 3), np.array(RED) * 257)),
        "grey16.tiff": encode(Image.fromarray(np.full((30, 40), 100 * 257, np.uint16)), "TIFF"),
        "grey32.tiff": encode(Image.fromarray(np.full((30, 40), 100 * 257, np.int32)), "TIFF"),
        "float.tiff": encode(Image.fromarray(np.full((30, 40), 100 / 255, np.float32)), "TIFF"),
        "animated.gif": encode(red, "GIF", save_all=True, append_images=[left_blue()], duration=100),
        "one_pixel.png": encode(red.resize((1, 1)), "PNG"),
        "plain.webp": encode(red, "WEBP", lossless=True),
        "plain.bmp": encode(red, "BMP"),
        "plain.tiff": encode(red, "TIFF", compression="tiff_lzw"),
        "called_jpg_but_png.jpg": encode(red, "PNG"),
    }


def bad_photos() -> dict[str, bytes]:
    """Make one unreadable file of each sort; BAD_WORDS says what is said of it."""
    noisy = jpeg(seed=0)
    drawn = encode(Image.open(io.BytesIO(noisy)), "PNG")
    return {
        "empty.jpg": b"",
        "text.jpg": b"Apple Red 1, harvested on a Tuesday\n" * 20,
        "truncated.jpg": noisy[: len(noisy) // 2],
        "truncated_header.jpg": noisy[:100],
        "truncated.png": drawn[: len(drawn) // 2],
        "huge.png": png_chunks((20_000, 9_000, 8, 2), b""),
    }


def huge_jpeg(width: int = 12_000, height: int = 9_000) -> bytes:
    """Make a JPEG of many pixels and one grey, in a few milliseconds: one coded row of blocks stands for all of them.

    Args:
        width: in pixels, a multiple of 8.
        height: in pixels, a multiple of 8.
    """
    # Grey blocks all alike code to the same bits, so that a row of 8 pixels, closed at a restart marker, repeats as is.
    row = encode(Image.new("L", (width, 8), 120), "JPEG", quality=90, restart_marker_rows=1)
    frame = row.index(b"\xff\xc0")
    scan = row.index(b"\xff\xda") + 10  # marker 2, length 2, and 6 more bytes for one component
    head = row[: frame + 5] + struct.pack(">H", height) + row[frame + 7 : scan]
    rows = (row[scan:-2] + bytes((0xFF, 0xD0 + number % 8)) for number in range(height // 8 - 1))
    return head + b"".join(rows) + row[scan:]


def left_blue() -> Image.Image:
    """Draw a 40 x 30 photo: blue in its left half, red in its right half."""
    photo = Image.new("RGB", (40, 30), (255, 0, 0))
    photo.paste((0, 0, 255), (0, 0, 20, 30))
    return photo


def half_clear() -> Image.Image:
    """Draw a 40 x 30 photo: fully transparent black in its left half, red in its right half."""
    photo = Image.new("RGBA", (40, 30), (*RED, 255))
    photo.paste((0, 0, 0, 0), (0, 0, 20, 30))
    return photo


def png16(values: np.ndarray) -> bytes:
    """Write a PNG of 16 bits a channel, which Pillow cannot for colour; values have shape (height, width, 1 or 3)."""
    height, width, channels = values.shape
    rows = values.astype(">u2").reshape(height, -1).view(np.uint8)
    raw = np.hstack([np.zeros((height, 1), np.uint8), rows]).tobytes()  # each row starts with its filter, 0 for none
    return png_chunks((width, height, 16, 0 if channels == 1 else 2), zlib.compress(raw))


def png_chunks(header: tuple[int, int, int, int], data: bytes) -> bytes:
    """Put a PNG together from (width, height, bits a channel, colour type) and its compressed rows."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    coded = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(coded)
