"""Photos of a page: small pictures on a few large sheets, which a page shows a piece of at a time."""

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

COLUMNS, ROWS = 32, 16  # photos of a sheet
QUALITY = 72  # of WebP: 0.7 kB a photo of 64 x 64 pixels, headers shared


class Album:
    """Sheets of pictures, in the order in which a page asks for them: what it shows at once is on the first sheets."""

    def __init__(self, thumbnails: Sequence[bytes | None], side: int) -> None:
        """Take the pictures; None for a photo without.

        Args:
            thumbnails: JPEG of side x side pixels per photo.
            side: in pixels.
        """
        self._thumbnails, self._side = thumbnails, side
        self._places: dict[int, int] = {}

    def place(self, photo: int) -> int | None:
        """Give the place of a photo, counted over all sheets; None for a photo without picture."""
        if self._thumbnails[photo] is None:
            return None
        return self._places.setdefault(photo, len(self._places))

    def sheets(self) -> list[str]:
        """Draw the sheets of all photos that have a place, as data URIs of WebP."""
        size, order = COLUMNS * ROWS, list(self._places)
        # Pillow leaves Python's lock while it encodes.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(self._draw, (order[start : start + size] for start in range(0, len(order), size))))

    def _draw(self, photos: Sequence[int]) -> str:
        rows = -(-len(photos) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * self._side, rows * self._side), "white")
        for place, photo in enumerate(photos):
            row, column = divmod(place, COLUMNS)
            picture = Image.open(io.BytesIO(self._thumbnails[photo]))
            sheet.paste(picture, (column * self._side, row * self._side))
        file = io.BytesIO()
        sheet.save(file, "WEBP", quality=QUALITY, method=2)
        return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
