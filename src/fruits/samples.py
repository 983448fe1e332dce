"""A synthetic set of fruit photos in the layout of Fruits-360: drawings on white, honest about being so.

Each fruit is a solid seen from above: a height for every pixel gives its outline and its light, a skin its colours.
Fruits share their colours (red, yellow to orange, green, purple) and differ by shape and skin, as real ones do.
"""

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fruits.errors import FruitsError, SettingError

SIDE = 100  # pixels, as in Fruits-360
GRID = 2 * SIDE  # drawn at twice the size, then halved, for smooth outlines
TEST_EVERY = 5  # one photo of five is for Test, and the second of each label is the first of them

RED, YELLOW, ORANGE = (196, 34, 38), (232, 190, 50), (228, 138, 40)
GREEN, PURPLE, BROWN = (128, 168, 52), (86, 46, 98), (122, 88, 52)
LEAF, WOOD, CREAM = (70, 122, 44), (98, 70, 42), (244, 224, 150)

Balls = list[tuple[float, float, float]]


class Drawing:
    """One photo in the making: the coordinates of the turned fruit, and the pixels painted so far.

    Attributes:
        x, y: (GRID, GRID) coordinates of the fruit, about -1 to 1; the stem is at negative y, on the axis x = 0.
        turn: where the fruit is on its turntable, in radians; skins are shifted by it.
        pixels: (GRID, GRID, 3) colours, 0 to 255.
    """

    def __init__(self, rng: np.random.Generator, index: int) -> None:
        """Place the fruit: it turns from one photo to the next, and its size and colours vary a little."""
        self.rng = rng
        self.turn = 0.7 * index + rng.uniform(-0.2, 0.2)
        angle, scale = 2.4 * index + rng.uniform(-0.3, 0.3), rng.uniform(0.88, 1.06)
        across = (np.arange(GRID, dtype=np.float32) - GRID / 2 + 0.5) / (GRID / 2) * scale
        right, down = across[None, :] + rng.uniform(-0.04, 0.04), across[:, None] + rng.uniform(-0.04, 0.04)
        self.x = right * np.float32(np.cos(angle)) + down * np.float32(np.sin(angle))
        self.y = down * np.float32(np.cos(angle)) - right * np.float32(np.sin(angle))
        self.tint = np.float32(rng.uniform(0.66, 1.24)) * rng.uniform(0.86, 1.14, 3).astype(np.float32)
        self.pixels = np.full((GRID, GRID, 3), 255, np.float32)

    def paint(self, squared: np.ndarray, color: np.ndarray, gloss: float) -> None:
        """Paint a solid over what is there, lit from the upper left of the photo.

        Args:
            squared: (GRID, GRID) squared height of the solid above the table; it is where this is positive.
            color: one colour, or (GRID, GRID, 3) of them.
            gloss: strength of the highlight, 0 to 1.
        """
        rows, columns = (np.flatnonzero((squared > 0).any(axis)) for axis in (1, 0))
        if not rows.size:
            return
        # Only the rectangle around the solid is worked on: a stem is small.
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        squared = squared[window]
        down, right = np.gradient(squared * np.float32(GRID / 4))  # half the gradient: height times its own slope
        height = np.sqrt(np.maximum(squared, 0))
        length = np.sqrt(right * right + down * down + height * height) + np.float32(1e-6)
        light = np.maximum(-0.45 * right - 0.5 * down + 0.74 * height, 0) / length
        shine = 255 * gloss * np.square(np.square(np.square(np.square(light))))  # light to the power of 16
        color = color[window] if color.ndim == 3 else color
        lit = color * self.tint * (0.45 + 0.65 * light)[..., None] + shine[..., None]
        np.copyto(self.pixels[window], lit, where=(squared > 0)[..., None], casting="same_kind")

    def join(self, balls: Balls) -> np.ndarray:
        """Make the squared height of balls in a heap, from rows of x, y and radius."""
        return np.max([r**2 - (self.x - x) ** 2 - (self.y - y) ** 2 for x, y, r in balls], axis=0)

    def stroke(self, start: tuple[float, float], end: tuple[float, float], width: float, taper: float) -> np.ndarray:
        """Make the squared height of a rod between two points; taper 1 ends it in a tip, as a leaf."""
        (x0, y0), (x1, y1) = start, end
        along = ((self.x - x0) * (x1 - x0) + (self.y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)
        along = along.clip(0, 1)
        far = (self.x - x0 - along * (x1 - x0)) ** 2 + (self.y - y0 - along * (y1 - y0)) ** 2
        return (width * (1 - taper * along)) ** 2 - far

    def noise(self, cells: int) -> np.ndarray:
        """Make smooth noise, 0 to 1, of shape (GRID, GRID) from a coarse grid of cells."""
        coarse = Image.fromarray(self.rng.random((cells, cells), dtype=np.float32))
        return np.asarray(coarse.resize((GRID, GRID), Image.Resampling.BICUBIC))

    def longitude(self, squared: np.ndarray) -> np.ndarray:
        """Give the angle about the stem axis of what is seen, turned with the turntable, in radians."""
        return np.arctan2(self.x, np.sqrt(np.maximum(squared, 1e-4))) + np.float32(self.turn)


Shape = Callable[[Drawing], np.ndarray]  # squared height of the body
Skin = Callable[[Drawing, np.ndarray, np.ndarray], np.ndarray]  # its colours, from its squared height and main colour

# Solids of revolution about the stem axis: squared half-width at y, minus x squared.
SOLIDS: dict[str, Shape] = {
    "apple": lambda d: 0.72**2 * (1 - np.abs(d.y / 0.66) ** 2.7) * (1 - 0.25 * d.y) - d.x**2,
    "ball": lambda d: 0.67**2 - d.y**2 - d.x**2,
    "lemon": lambda d: np.maximum(0.58**2 * (1 - (d.y / 0.72) ** 2), 0.17**2 * (1 - (d.y / 0.86) ** 2)) - d.x**2,
    "melon": lambda d: 0.72**2 * (1 - (d.y / 0.78) ** 2) - d.x**2,
    "oval": lambda d: 0.56**2 * (1 - (d.y / 0.73) ** 2) - d.x**2,
    "pear": lambda d: (1 - (d.y / 0.85) ** 2) * (0.44 + 0.22 * np.tanh(3.5 * d.y)) ** 2 - d.x**2,
    "pineapple": lambda d: 0.5**2 * (1 - np.abs((d.y - 0.2) / 0.66) ** 3) - d.x**2,
    "strawberry": lambda d: 0.7**2 * (1 - np.abs(d.y / 0.76) ** 2.2) * (0.62 - 0.5 * d.y).clip(0, 1) - d.x**2,
}


def shape_banana(d: Drawing) -> np.ndarray:
    far, along = np.hypot(d.x + 0.9, d.y), np.arctan2(d.y, d.x + 0.9) / 0.9
    return 0.27**2 * (1 - np.abs(along) ** 2.5) - (far - 1) ** 2


def shape_cherries(d: Drawing) -> np.ndarray:
    return d.join([(-0.36, 0.3, 0.4), (0.38, 0.36, 0.42)])


def shape_grapes(d: Drawing) -> np.ndarray:
    rows = [(4, -0.5), (5, -0.26), (4, -0.02), (3, 0.22), (2, 0.46), (1, 0.68)]
    places = [(0.27 * (i - (count - 1) / 2), y) for count, y in rows for i in range(count)]
    shift = d.rng.uniform(-0.05, 0.05, (len(places), 2))
    return d.join([(x + dx, y + dy, d.rng.uniform(0.17, 0.2)) for (x, y), (dx, dy) in zip(places, shift, strict=True)])


def shape_raspberry(d: Drawing) -> np.ndarray:
    places = [(0.23 * (i + row % 2 / 2), 0.2 * row) for row in range(-4, 5) for i in range(-4, 5)]
    inside = [(x, y) for x, y in places if (x / (0.66 - 0.18 * y)) ** 2 + (y / 0.72) ** 2 < 0.85]
    # A drupelet in the middle stands higher, as on a dome: it is larger.
    return d.join([(x, y, 0.16 + 0.03 * (1 - x * x - y * y)) for x, y in inside])


def mix(color: np.ndarray, other: tuple[int, int, int], share: np.ndarray) -> np.ndarray:
    """Blend a colour, or an image of them, into another; share is (GRID, GRID), 0 to 1."""
    return color + share[..., None] * (np.array(other, np.float32) - color)


def skin_plain(d: Drawing, body: np.ndarray, color: np.ndarray) -> np.ndarray:
    return color * (0.85 + 0.3 * d.noise(6))[..., None]


def skin_dotted(dots: tuple[int, int, int], cells: int) -> Skin:
    return lambda d, body, color: mix(skin_plain(d, body, color), dots, 0.75 * (d.noise(cells) > 0.86))


def skin_grainy(cells: int, depth: float) -> Skin:
    return lambda d, body, color: color * (1.1 - depth + depth * d.noise(cells))[..., None]


def skin_blushed(d: Drawing, body: np.ndarray, color: np.ndarray) -> np.ndarray:
    blush = (0.5 + 0.5 * np.cos(d.longitude(body))) * d.noise(5)
    return mix(skin_plain(d, body, color), YELLOW, 0.75 * blush.clip(0, 1))


def skin_grooved(bloom: tuple[int, int, int]) -> Skin:
    def paint_groove(d: Drawing, body: np.ndarray, color: np.ndarray) -> np.ndarray:
        groove = np.exp(-((np.sin(d.longitude(body) / 2) / 0.06) ** 2))
        return mix(skin_plain(d, body, color), bloom, 0.5 * d.noise(4).clip(0, 1)) * (1 - 0.55 * groove)[..., None]

    return paint_groove


def skin_striped(d: Drawing, body: np.ndarray, color: np.ndarray) -> np.ndarray:
    stripes = np.sin(6 * d.longitude(body) + 2.5 * d.noise(14)) > 0.1
    return mix(skin_plain(d, body, color), (34, 74, 34), 0.85 * stripes)


def skin_seeded(d: Drawing, body: np.ndarray, color: np.ndarray) -> np.ndarray:
    across, down = 5.5 * d.longitude(body), 15 * d.y
    seeds = np.maximum(np.cos(across) * np.cos(down), np.sin(across) * np.sin(down)) > 0.72
    return mix(skin_plain(d, body, color), CREAM, 0.8 * seeds)


def skin_scaled(d: Drawing, body: np.ndarray, color: np.ndarray) -> np.ndarray:
    around, down = 4 * d.longitude(body), 11 * d.y
    seams = np.minimum(np.abs(np.sin(around + down)), np.abs(np.sin(around - down)))
    return mix(skin_plain(d, body, color), BROWN, (1 - 2.2 * seams).clip(0, 0.9))


# Trimmings: rods over the body, (from, to, width, taper, colour); taper 1 ends in a tip.
LONG_STEM = (((0, -0.76), (0.12, -0.98), 0.05, 0, WOOD),)
STEM_AND_LEAF = (((0.02, -0.62), (0.3, -0.8), 0.11, 0.9, LEAF), ((0, -0.56), (0.06, -0.88), 0.045, 0, WOOD))
BUNCH_STEM = (((0, -0.62), (0.06, -0.9), 0.05, 0, LEAF),)
TWIN_STEMS = tuple(((x, 0), (0.05, -0.85), 0.04, 0, LEAF) for x in (-0.34, 0.36))
NAVEL = (((0, -0.45), (0, -0.46), 0.07, 0, LEAF),)
TIPS = tuple(((-0.24, y), (-0.28, 1.05 * y), 0.08, 0.2, WOOD) for y in (-0.76, 0.76))
SEPALS = tuple(((0, -0.66), (0.5 * x, -0.32 - 0.3 * x * x), 0.11, 0.9, LEAF) for x in (-0.95, 0.95, -0.6, 0.6, 0))
CROWN = tuple(((x / 3, -0.4), (x, x * x - 1), 0.1, 0.9, LEAF) for x in (-0.42, 0.42, -0.22, 0.22, 0))


@dataclass(frozen=True)
class Fruit:
    """What one label looks like."""

    color: tuple[int, int, int]
    shape: Shape
    skin: Skin
    trim: tuple = ()
    gloss: float = 0.3


FRUITS = {
    "Apple Green": Fruit(GREEN, SOLIDS["apple"], skin_dotted(CREAM, 44), STEM_AND_LEAF),
    "Apple Red": Fruit(RED, SOLIDS["apple"], skin_blushed, STEM_AND_LEAF),
    "Banana": Fruit(YELLOW, shape_banana, skin_dotted(WOOD, 18), TIPS, 0.1),
    "Cherry": Fruit(RED, shape_cherries, skin_plain, TWIN_STEMS, 0.6),
    "Grape Blue": Fruit(PURPLE, shape_grapes, skin_plain, BUNCH_STEM),
    "Grape Green": Fruit(GREEN, shape_grapes, skin_plain, BUNCH_STEM),
    "Kiwi": Fruit(BROWN, SOLIDS["oval"], skin_grainy(90, 0.6), gloss=0),
    "Lemon": Fruit(YELLOW, SOLIDS["lemon"], skin_grainy(50, 0.4)),
    "Orange": Fruit(ORANGE, SOLIDS["ball"], skin_grainy(50, 0.4), NAVEL),
    "Peach": Fruit(ORANGE, SOLIDS["ball"], skin_grooved(RED), gloss=0),
    "Pear Green": Fruit(GREEN, SOLIDS["pear"], skin_dotted(CREAM, 44), LONG_STEM),
    "Pineapple": Fruit(YELLOW, SOLIDS["pineapple"], skin_scaled, CROWN, 0.1),
    "Plum": Fruit(PURPLE, SOLIDS["oval"], skin_grooved((200, 196, 214))),
    "Raspberry": Fruit(RED, shape_raspberry, skin_plain, gloss=0.2),
    "Strawberry": Fruit(RED, SOLIDS["strawberry"], skin_seeded, SEPALS),
    "Watermelon": Fruit(GREEN, SOLIDS["melon"], skin_striped),
}

LABELS: tuple[str, ...] = tuple(FRUITS)


def draw_samples(folder: str, photos: int = 500) -> dict:
    """Draw a photo set as `<folder>/Training/<label>/<i>.jpg` and `<folder>/Test/<label>/<i>.jpg`, 4 to 1.

    The same photo has the same bytes each time, however many are drawn, so that asking for more adds photos.
    Nothing that is in the folder is removed, and a photo that is there as drawn is not touched.

    Args:
        folder: made where it is missing.
        photos: how many, spread evenly over the labels.

    Returns:
        folder, photos, labels, training and test: where they are and how many there are of each.

    Raises:
        SettingError: photos is below 1, or the folder is a URI.
        FruitsError: the folder cannot be written.
    """
    if photos < 1:
        raise SettingError(f"photos={photos} is below 1; try photos=500")
    if "://" in str(folder):
        raise SettingError(f"folder={folder!r} is a URI; draw into a local folder, as ./photos, and copy it there")
    test = 0
    for number in range(photos):
        index, label = number // len(LABELS), LABELS[number % len(LABELS)]
        split = "Test" if index % TEST_EVERY == 1 else "Training"
        test += split == "Test"
        path = Path(folder, split, label, f"{index}.jpg")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            content = _encode(draw_photo(label, index))
            if not path.is_file() or path.read_bytes() != content:
                path.write_bytes(content)
        except OSError as error:
            raise FruitsError(
                f"{path} cannot be written ({error.strerror}); try a folder that is yours, as ./photos"
            ) from error
    labels = min(photos, len(LABELS))
    return {"folder": str(folder), "photos": photos, "labels": labels, "training": photos - test, "test": test}


def draw_photo(label: str, index: int) -> Image.Image:
    """Draw photo number index of a label, 100 x 100 RGB; the same every time.

    Raises:
        SettingError: no fruit of that name is drawn.
    """
    if label not in FRUITS:
        raise SettingError(f"label={label!r} is not drawn; there are {', '.join(LABELS)}")
    fruit = FRUITS[label]
    drawing = Drawing(np.random.default_rng(zlib.crc32(f"{label}/{index}".encode())), index)
    body = fruit.shape(drawing)
    drawing.paint(body, fruit.skin(drawing, body, np.array(fruit.color, np.float32)), fruit.gloss)
    for start, end, width, taper, color in fruit.trim:
        drawing.paint(drawing.stroke(start, end, width, taper), np.array(color), gloss=0)
    return Image.fromarray(drawing.pixels.clip(0, 255).astype(np.uint8)).reduce(2)


def sample_photo() -> bytes:
    """Draw one photo as JPEG bytes: the input example of a model that takes photos."""
    return _encode(draw_photo("Apple Red", 0))


def _encode(photo: Image.Image) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=90)
    return file.getvalue()
