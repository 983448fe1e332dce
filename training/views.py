"""Views of photos: what a phone would have made of the same fruit, and fruit nobody has seen, made from it.

Photos and views are uint8 RGB of shape (side, side, 3). Everything random comes from the generator given.
"""

import io

import numpy as np
from options import TrainingOptions
from PIL import Image, ImageFilter
from scipy import ndimage

WHITE = 225  # a background pixel of Fruits-360 is at least as bright as this in all channels


def make_view(photos: np.ndarray, index: int, round_: int, options: TrainingOptions) -> tuple[np.ndarray, bool]:
    """Make one view; the same for the same seed, photo and round, whatever else is made.

    Args:
        photos: (n, side, side, 3) uint8.
        index: which photo it is a view of.
        round_: 0 for the photo as it is.
        options: shares of the kinds of views, and the seed.

    Returns:
        The view, and whether it still shows the photo's fruit, so that its label holds.
    """
    if round_ == 0:
        return photos[index], True
    rng = np.random.default_rng((options.seed, index, round_))
    kind = rng.random()
    view = photos[index]
    if kind < options.recoloured:
        view = recolour(view, rng)
    elif kind < options.recoloured + options.mixed:
        view = mix(view, photos[rng.integers(len(photos))], rng)
    return disturb(view, rng), kind >= options.recoloured + options.mixed


def disturb(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change background, place, light, sharpness and compression as between phones, hands and kitchens."""
    view = photo
    if rng.random() < 0.4:
        view = change_background(view, background(view.shape[0], rng))
    image = Image.fromarray(relight(move(view, rng), rng))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.4:
        image = compress(image, int(rng.integers(25, 90)))
    return np.asarray(image)


def find_background(photo: np.ndarray) -> np.ndarray:
    """Tell how much each pixel belongs to the white around the fruit; (side, side), 0 to 1, soft at the outline."""
    white = photo.min(axis=2) >= WHITE
    border = np.zeros_like(white)
    border[[0, -1]] = border[:, [0, -1]] = True
    outside = ndimage.binary_propagation(border & white, mask=white)
    return ndimage.gaussian_filter(outside.astype(np.float32), 0.7)


def change_background(photo: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Put the fruit before something else; `behind` is a colour (3,) or an image (side, side, 3), 0 to 255."""
    share = find_background(photo)[..., None]
    return (photo * (1 - share) + behind * share).clip(0, 255).astype(np.uint8)


def background(side: int, rng: np.random.Generator) -> np.ndarray:
    """Make a background: grey or coloured, even or cloudy; float32 of shape (side, side, 3), 0 to 255."""
    color = np.full(3, rng.uniform(0, 255)) if rng.random() < 0.5 else rng.uniform(0, 255, 3)
    cells = int(rng.integers(2, 9))
    clouds = ndimage.zoom(rng.normal(0, 1, (cells, cells)), side / cells, order=1, grid_mode=True, mode="nearest")
    return (color + rng.uniform(0, 40) * clouds[:side, :side, None]).astype(np.float32)


def move(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn, scale, shift and mirror."""
    if rng.random() < 0.5:
        view = view[:, ::-1]
    angle = rng.uniform(-180, 180) if rng.random() < 0.2 else rng.uniform(-25, 25)
    return turn(view, angle, scale=np.exp(rng.uniform(-0.25, 0.15)), shift=rng.uniform(-0.06, 0.06, 2))


def turn(view: np.ndarray, angle: float, scale: float = 1.0, shift: np.ndarray | tuple = (0.0, 0.0)) -> np.ndarray:
    """Turn by degrees, counter-clockwise, about the middle; scale above 1 enlarges, shift is a share of the side.

    uint8 in and out. What comes in from outside repeats the border.
    """
    side = view.shape[0]
    edge = side // 2
    cos, sin = np.cos(np.deg2rad(angle)) / scale, np.sin(np.deg2rad(angle)) / scale
    x, y = side / 2 + side * np.asarray(shift)
    start = edge + side / 2
    matrix = (cos, -sin, start - cos * x + sin * y, sin, cos, start - sin * x - cos * y)
    wide = Image.fromarray(np.pad(view, ((edge, edge), (edge, edge), (0, 0)), mode="edge"))
    return np.asarray(wide.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def relight(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast, white balance and saturation; uint8 in and out."""
    gain = np.exp(rng.uniform(-0.45, 0.35)) * np.exp(rng.uniform(-0.12, 0.12, 3)).astype(np.float32)
    view = (view * gain).clip(0, 255)
    grey = view.mean(axis=2, keepdims=True)
    view = grey + (view - grey) * np.float32(np.exp(rng.uniform(-0.35, 0.3)))
    middle = view.mean()
    view = middle + (view - middle) * np.float32(np.exp(rng.uniform(-0.25, 0.2)))
    return view.clip(0, 255).astype(np.uint8)


def compress(image: Image.Image, quality: int) -> Image.Image:
    """Write and read as JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def recolour(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give the fruit other colours: channels in another order, or hues turned; white and grey stay."""
    if rng.random() < 0.5:
        orders = [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
        return photo[..., orders[rng.integers(len(orders))]]
    colors = np.array(Image.fromarray(photo).convert("HSV"))
    colors[..., 0] += np.uint8(rng.integers(20, 236))
    return np.asarray(Image.fromarray(colors, "HSV").convert("RGB"))


def mix(photo: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Join two photos: one over the other, or a part of one in the other's place."""
    if rng.random() < 0.5:
        share = rng.uniform(0.25, 0.75)
        return (photo * share + other * (1 - share)).astype(np.uint8)
    side = photo.shape[0]
    top, left = rng.integers(0, side // 2, 2)
    height, width = rng.integers(side // 3, side, 2)
    mixed = photo.copy()
    mixed[top : top + height, left : left + width] = other[top : top + height, left : left + width]
    return mixed
