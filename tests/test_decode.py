"""Photos of every sort give the right pixels; files that are no photos give the right words."""

import io
import random
import subprocess
import sys
import warnings

import numpy as np
import pytest
from photos import BAD_WORDS, RED, bad_photos, encode, huge_jpeg, jpeg, left_blue, odd_photos, png16, png_chunks
from PIL import Image, ImageFile, ImageOps

from fruits.vision import decode
from fruits.vision.decode import decode_photo

WHITE, BLUE, PURE_RED, GREY = (255, 255, 255), (0, 0, 255), (255, 0, 0), (100, 100, 100)

# What the four corners of each odd photo must be: top left, top right, bottom left, bottom right.
CORNERS = {
    "cmyk.jpg": (RED, RED, RED, RED),
    "grey.jpg": (GREY, GREY, GREY, GREY),
    "exif_rotated.jpg": (BLUE, BLUE, PURE_RED, PURE_RED),  # its left is its top, once turned clockwise
    "exif_rotated.png": (BLUE, BLUE, PURE_RED, PURE_RED),
    "exif_rotated.tiff": (BLUE, BLUE, PURE_RED, PURE_RED),
    "palette.png": (RED, RED, RED, RED),
    "palette_alpha.png": (WHITE, WHITE, WHITE, WHITE),
    "alpha.png": (WHITE, RED, WHITE, RED),
    "grey_alpha.png": (WHITE, (81, 81, 81), WHITE, (81, 81, 81)),
    "color_key.png": (WHITE, PURE_RED, WHITE, PURE_RED),
    "one_bit.png": ((0, 0, 0), WHITE, (0, 0, 0), WHITE),
    "grey16.png": (GREY, GREY, GREY, GREY),
    "rgb16.png": (RED, RED, RED, RED),
    "grey16.tiff": (GREY, GREY, GREY, GREY),
    "grey32.tiff": (GREY, GREY, GREY, GREY),
    "float.tiff": (GREY, GREY, GREY, GREY),
    "animated.gif": (RED, RED, RED, RED),
    "one_pixel.png": (RED, RED, RED, RED),
    "plain.webp": (RED, RED, RED, RED),
    "plain.bmp": (RED, RED, RED, RED),
    "plain.tiff": (RED, RED, RED, RED),
    "called_jpg_but_png.jpg": (RED, RED, RED, RED),
}


def decode_well(content: bytes, size: int) -> np.ndarray:
    pixels, error = decode_photo(content, size)
    assert error is None
    assert (pixels.shape, pixels.dtype) == ((size, size, 3), np.uint8)
    return pixels


@pytest.mark.parametrize("name", odd_photos())
def test_an_odd_photo_shows_its_colours(name):
    pixels = decode_well(odd_photos()[name], 64)
    corners = [pixels[y, x] for y in (4, -5) for x in (4, -5)]
    np.testing.assert_allclose(corners, CORNERS[name], atol=3)  # JPEG rounds


@pytest.mark.parametrize("name", bad_photos())
def test_a_bad_file_says_what_is_wrong_in_the_same_words_each_time(name):
    first, second = (decode_photo(bytes(bytearray(bad_photos()[name])), 64) for _ in range(2))
    assert first == second == (None, BAD_WORDS[name])


def test_no_content_is_an_empty_file():
    assert decode_photo(None, 64) == (None, "empty file")


@pytest.mark.parametrize("size", [32, 96, 100, 224])
def test_a_plain_photo_decodes_exactly_as_pillow_alone_would(size):
    for content in (jpeg(seed=1), encode(Image.open(io.BytesIO(jpeg(seed=2))).convert("L"), "JPEG")):
        plain = Image.open(io.BytesIO(content)).convert("RGB")
        if min(plain.size) >= 4 * size:
            continue
        np.testing.assert_array_equal(decode_well(content, size), plain.resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(orientation):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, size=(4, 5, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(noise.resize((50, 40)), "PNG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).resize((48, 48), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(decode_well(content, 48).astype(int), np.asarray(upright).astype(int), atol=2)


@pytest.mark.parametrize("block", [b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\xff\xff" * 20, b"no directory at all"])
def test_corrupt_metadata_does_not_cost_the_photo(block):
    plain, block = jpeg(), b"Exif\0\0" + block
    content = plain[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + plain[2:]
    np.testing.assert_array_equal(decode_well(content, 64), decode_well(plain, 64))
    drawn = encode(left_blue(), "PNG", exif=block)
    np.testing.assert_array_equal(decode_well(drawn, 64), decode_well(encode(left_blue(), "PNG"), 64))


def test_a_palette_photo_is_resized_in_colour():
    palette = left_blue().quantize(4)
    smooth = palette.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(decode_well(encode(palette, "PNG"), 64), smooth)


def test_16_bit_grey_keeps_its_steps():
    ramp = np.arange(0, 65536, 1024).reshape(1, 64, 1).repeat(64, axis=0)
    np.testing.assert_array_equal(decode_well(png16(ramp), 64)[0, :, 0], np.arange(0, 256, 4))


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (np.array([0, 100, 255], np.int32), [0, 100, 255]),
        (np.array([-5, 100 * 257, 65535], np.int32), [0, 100, 255]),
        (np.array([0, 500_000, 1_000_000], np.int32), [0, 128, 255]),
        (np.array([0, 0.5, 1], np.float32), [0, 128, 255]),
        (np.array([0, 100, 255], np.float32), [0, 100, 255]),
        (np.array([0, 0, 0], np.float32), [0, 0, 0]),
    ],
)
def test_wide_values_are_scaled_from_the_range_they_use(values, shown):
    tiff = encode(Image.fromarray(np.tile(values, (3, 1))), "TIFF")
    np.testing.assert_array_equal(decode_well(tiff, 3)[0, :, 0], shown)


def test_wide_values_are_enlarged_as_8_bits_are():
    edge = np.repeat([[0, 0, 255, 255, 0, 0]], 6, axis=0)
    narrow, wide = (encode(Image.fromarray(edge.astype(kind)), "TIFF") for kind in (np.uint8, np.int32))
    np.testing.assert_allclose(decode_well(wide, 50).astype(int), decode_well(narrow, 50).astype(int), atol=1)


def test_pixels_that_are_no_numbers_are_an_error():
    tiff = encode(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF")
    assert decode_photo(tiff, 8) == (None, "unreadable photo (ValueError)")


def test_half_transparent_is_half_white():
    pixels = decode_well(encode(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG"), 8)
    np.testing.assert_allclose(pixels, 127, atol=1)


def test_a_huge_jpeg_is_decoded_small_and_looks_the_same(monkeypatch):
    seen = set()
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda photo: seen.add(photo.size) or load(photo))
    assert (decode_well(huge_jpeg(), 224) == 120).all()
    assert seen == {(1500, 1125)}
    wide = encode(left_blue().resize((900, 2000), Image.Resampling.BILINEAR), "JPEG", quality=95)
    whole = Image.open(io.BytesIO(wide)).convert("RGB").resize((100, 100), Image.Resampling.BICUBIC)
    seen.clear()
    np.testing.assert_allclose(decode_well(wide, 100).astype(int), np.asarray(whole).astype(int), atol=3)
    assert seen == {(225, 500)}  # at a quarter: an eighth would leave less than twice the size


def test_a_photo_at_the_pixel_limit_is_read_and_one_over_is_not(monkeypatch):
    monkeypatch.setattr(decode, "MAX_PIXELS", 64 * 64)
    assert decode_photo(jpeg(size=(64, 64)), 32)[1] is None
    assert decode_photo(jpeg(size=(64, 65)), 32)[1].startswith("too large: 64 x 65 pixels")


def test_the_limits_of_the_host_process_change_nothing(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    decode_well(jpeg(), 32)
    assert decode_photo(png_chunks((400_000, 400_000, 8, 2), b""), 32)[1].startswith("too large: 400000 x 400000")
    assert Image.MAX_IMAGE_PIXELS == 10


def test_what_pillow_logs_of_a_tiff_is_not_repeated(caplog):
    samples = b"\x15\x01\x03\0\x01\0\0\0"  # the tag for values a pixel: one 16-bit number follows
    tiff = odd_photos()["plain.tiff"].replace(samples + b"\x03", samples + b"\x63")
    assert decode_photo(tiff, 32) == (None, "unreadable photo (SyntaxError)")
    assert not caplog.records


def test_damaged_files_of_every_sort_never_raise_or_warn(capfd):
    draw = random.Random(0)
    # libtiff writes to the C standard error whatever Python asks, so compressed TIFF stays out of this one.
    whole = [content for name, content in odd_photos().items() if name != "plain.tiff"]
    words = set()
    with warnings.catch_warnings(record=True) as warned:
        for _ in range(1500):
            damaged = bytearray(draw.choice(whole))
            if draw.random() < 0.3:
                del damaged[draw.randrange(len(damaged)) :]
            for _ in range(min(draw.choice((0, 1, 3, 20)), len(damaged))):
                place = draw.randrange(len(damaged))
                # Sizes are left alone: one flipped bit makes a photo of 100 megapixels, right but slow.
                damaged[place] ^= (1 << draw.randrange(8)) if place > 40 else 0
            pixels, error = decode_photo(bytes(damaged), 32)
            assert (pixels is None) != (error is None)
            assert pixels is None or (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)
            words.add(error)
        for length in range(200):
            assert decode_photo(draw.randbytes(length), 32)[1]
    assert len(words) < 12 and not any("0x" in text for text in words if text)
    assert not warned and capfd.readouterr() == ("", "")


def test_works_where_the_package_is_not_installed():
    cloudpickle = pytest.importorskip("cloudpickle")
    cloudpickle.register_pickle_by_value(decode)
    try:
        pickled = cloudpickle.dumps((decode_photo, jpeg(), bad_photos()["text.jpg"]))
    finally:
        cloudpickle.unregister_pickle_by_value(decode)
    program = (
        "import pickle, sys; sys.modules['fruits'] = None; decode, photo, text = pickle.load(sys.stdin.buffer);"
        "print(decode(photo, 32)[0].shape, decode(text, 32)[1][:11])"
    )
    worker = subprocess.run([sys.executable, "-c", program], input=pickled, capture_output=True, check=True)
    assert worker.stdout.decode().strip() == "(32, 32, 3) not a photo"
