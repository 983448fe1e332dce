"""Many photos from this machine to a store: found, sent by many threads, counted. What the stores have in common."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

from fruits.errors import FruitsError, SettingError
from fruits.platform.files import EXTENSIONS, walk_photos
from fruits.platform.progress import Progress

THREADS = 48  # a call is mostly waiting
LARGE = 16 * 2**20  # bytes from which a file is not held in memory
PAUSE = 2  # seconds between two looks at how it goes
GIVE_UP = 100  # failures without a success between them: it is not the photos
Item = TypeVar("Item")


@dataclass(frozen=True)
class Photo:
    """A photo on this machine, and its place under the destination."""

    file: Path
    path: str


def walk_folder(folder: str | Path) -> Iterator[Photo]:
    """Give the photos of a folder one by one, as [<split>/]<label>/<file>, nearly in the order of their paths.

    Raises:
        SettingError: no such folder.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise SettingError(f"{str(folder)!r} is not a folder; it holds the photos as [<split>/]<label>/<file>")
    return (Photo(file, file.relative_to(root).as_posix()) for file in walk_photos(root))


def find_photos(folder: str | Path) -> list[Photo]:
    """Find the photos of a folder.

    Raises:
        SettingError: no such folder.
        FruitsError: no photo in it.
    """
    photos = sorted(walk_folder(folder), key=lambda photo: photo.file)
    _need(folder, len(photos))
    return photos


def count_photos(folder: str | Path) -> int:
    """Count the photos of a folder, however many; it raises what find_photos raises."""
    photos = sum(1 for _ in walk_folder(folder))
    _need(folder, photos)
    return photos


def _need(folder: str | Path, photos: int) -> None:
    if not photos:
        raise FruitsError(f"no photo under {str(folder)!r}; photos end in {', '.join(EXTENSIONS)}")


def show_path(path: str) -> str:
    """Write a path so that it can be printed, whatever bytes its name is made of."""
    return path.encode("utf-8", "backslashreplace").decode()


def is_text(path: str) -> bool:
    """Whether a path can be written in UTF-8, as stores want it."""
    return path == path.encode("utf-8", "replace").decode()


def size_of(file: Path) -> int | None:
    """Give the size of a file in bytes; None if it is gone since it was listed, or a link to nowhere."""
    try:
        return file.stat().st_size
    except OSError:
        return None


def hash_file(file: Path) -> str:
    """Give the sha256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def in_threads(work: Callable[[Item], None], items: Iterable[Item], watch: Callable[[], None] = lambda: None) -> None:
    """Call `work` for every item from several threads; the first error stops them all, as Ctrl-C does.

    Args:
        work: what to do; it is called from many threads at once.
        items: taken one by one, when a thread is free.
        watch: called from this thread every PAUSE seconds, and at the end.
    """
    todo, turn, stop, end = iter(items), Lock(), Event(), object()

    def pull() -> None:
        while not stop.is_set():
            with turn:
                item = next(todo, end)
            if item is end:
                return
            work(item)

    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(pull) for _ in range(THREADS)]
        try:
            pending = set(futures)
            while pending and not any(each.done() and each.exception() for each in futures):
                pending = wait(pending, timeout=PAUSE, return_when=FIRST_EXCEPTION).not_done
                watch()
        finally:
            stop.set()
    for future in futures:
        future.result()


class Tally:
    """What became of the photos of an upload under way; safe to use from many threads.

    Attributes:
        failed: path to error.
        done: photos that progress was told of.
    """

    def __init__(self, total: int) -> None:
        """Start the clock; `total` photos are to be done."""
        self.failed: dict[str, str] = {}
        self._progress, self._lock = Progress("upload", total), Lock()
        self._done = self._errors = self._in_a_row = 0

    @property
    def done(self) -> int:
        return self._progress.done

    def add(self) -> None:
        """Count a photo that is where it should be."""
        with self._lock:
            self._done += 1
            self._in_a_row = 0

    def fail(self, path: str, error: str) -> None:
        """Note a photo that could not be sent.

        Raises:
            FruitsError: the last GIVE_UP photos could not, none between them: it is not the photos.
        """
        with self._lock:
            self.failed[path] = error
            self._in_a_row += 1
            self._errors += 1
            if self._in_a_row >= GIVE_UP:
                raise FruitsError(
                    f"{GIVE_UP} photos in a row could not be sent ({error}); the same command again continues"
                ) from None

    def tell(self) -> None:
        """Say how it goes, if anything happened since it was said last."""
        with self._lock:
            done, errors, self._done, self._errors = self._done, self._errors, 0, 0
        if done or errors:
            self._progress.add(done, errors)


def sum_up(
    destination: str, photos: int, sent: int, sent_bytes: int, failed: dict[str, str], start: float
) -> dict[str, Any]:
    """Make the result of an upload: destination, photos, sent, skipped, bytes (sent), seconds, failed (path, error)."""
    return {
        "destination": destination,
        "photos": photos,
        "sent": sent,
        "skipped": photos - sent - len(failed),
        "bytes": sent_bytes,
        "seconds": round(time.monotonic() - start, 1),
        "failed": [{"path": show_path(path), "error": error} for path, error in sorted(failed.items())],
    }
