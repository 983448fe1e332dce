"""A folder of photos into a volume: what is there already is skipped, what was sent is checked."""

import time
from collections.abc import Iterable
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

from fruits.platform.databricks import first_line
from fruits.platform.databricks_files import Record, Sender, check_volume, list_folders
from fruits.platform.progress import report
from fruits.platform.upload import Photo, Tally, hash_file, in_threads, is_text, size_of, sum_up

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

SAVE_EVERY = 5000  # photos sent between two writes of the record


def upload_photos(client: "WorkspaceClient", photos: list[Photo], destination: str) -> dict[str, Any]:
    """Bring photos into a volume, each where it lies in its folder.

    A photo is skipped if the volume has a file of its name and size, and the record says it has its content too. What
    was sent is compared with a listing; what does not fit is sent once more. Nothing is removed from the volume.

    Returns:
        destination, photos, sent, skipped, bytes (sent), seconds, and failed: path and error of each that is not there.

    Raises:
        SettingError: a destination that is no volume.
        FruitsError: no such volume, or a workspace that no longer answers.
    """
    start = time.monotonic()
    destination = check_volume(client, destination)
    with Record(client, destination) as record:
        there = _list(client, destination, photos)
        todo = _find_missing(photos, there, record)
        upload = _Upload(client, destination, record, there, len(todo))
        failed = upload.send_all(todo)
        _save(record)
    return sum_up(destination, len(photos), len(todo) - len(failed), upload.sent_bytes, failed, start)


def _list(client: "WorkspaceClient", destination: str, photos: Iterable[Photo]) -> dict[str, int]:
    """Give path under the destination to size, for all files in the folders of the given photos."""
    folders = {f"{destination}/{photo.path}".rpartition("/")[0] for photo in photos if is_text(photo.path)}
    return {path[len(destination) + 1 :]: size for path, size in list_folders(client, folders).items()}


def _find_missing(photos: list[Photo], there: dict[str, int], record: Record) -> list[Photo]:
    """Choose the photos that the volume does not have with the same size and the same content."""
    missing, alike = [], []
    for photo in photos:
        is_alike = photo.path in record.hashes and there.get(photo.path) == size_of(photo.file)
        (alike if is_alike else missing).append(photo)

    def compare(photo: Photo) -> None:
        if hash_file(photo.file) != record.hashes[photo.path]:
            missing.append(photo)

    in_threads(compare, alike)
    return sorted(missing, key=lambda photo: photo.path)


class _Upload:
    """One upload under way; its numbers are shared by all threads."""

    def __init__(
        self, client: "WorkspaceClient", destination: str, record: Record, there: dict[str, int], total: int
    ) -> None:
        self._client, self._destination, self._record, self._there = client, destination, record, there
        self._sender, self._lock = Sender(client), Lock()
        self._tally, self._saved = Tally(total), 0
        self._sizes: dict[str, int] = {}

    def send_all(self, photos: list[Photo]) -> dict[str, str]:
        """Send photos and look whether they arrived; once more for those that did not. Returns path to error."""
        todo = photos
        for is_second in (False, True):
            if is_second:
                report(f"upload: {len(todo)} photos did not arrive, sending them once more")
                self._tally, self._saved = Tally(len(todo)), 0
                self._make_folders(todo)
            in_threads(self._send, todo, self._tell)
            self._tally.tell()
            todo = self._check(todo)
            if not todo:
                break
            for photo in todo:
                self._record.forget(photo.path)
        return self._tally.failed

    @property
    def sent_bytes(self) -> int:
        """Bytes that arrived."""
        return sum(size for path, size in self._sizes.items() if path not in self._tally.failed)

    def _send(self, photo: Photo) -> None:
        """Send one photo; what is wrong with it alone is noted, what is wrong with the workspace is raised."""
        import requests
        from databricks.sdk.errors import DatabricksError, PermissionDenied, Unauthenticated

        # A file of this size is there only once it has arrived, if none was before: then its content may be noted in
        # advance, and a killed upload knows what it sent.
        is_new = self._there.get(photo.path) != size_of(photo.file)
        try:
            if not is_text(photo.path):
                raise OSError("its name is not UTF-8")
            size, digest = self._sender.send(
                photo.file,
                f"{self._destination}/{photo.path}",
                lambda digest: self._record.add(photo.path, digest) if is_new else None,
            )
        except (Unauthenticated, PermissionDenied):
            raise
        except (DatabricksError, OSError, TimeoutError) as error:
            is_lost = isinstance(error, requests.RequestException | TimeoutError)
            self._tally.fail(photo.path, type(error).__name__ if is_lost else first_line(self._client, error))
            return
        if not is_new:
            self._record.add(photo.path, digest)
        with self._lock:
            self._sizes[photo.path] = size
        self._tally.add()

    def _tell(self) -> None:
        self._tally.tell()
        if self._tally.done - self._saved >= SAVE_EVERY:
            self._saved = self._tally.done
            _save(self._record)

    def _make_folders(self, photos: list[Photo]) -> None:
        """Make the folders of photos; a volume makes them by itself, so this is for one that did not."""
        from databricks.sdk.errors import DatabricksError

        for folder in sorted({f"{self._destination}/{photo.path}".rpartition("/")[0] for photo in photos}):
            with suppress(DatabricksError, ValueError):  # sending says what is wrong
                self._client.files.create_directory(folder)

    def _check(self, photos: list[Photo]) -> list[Photo]:
        """Give the photos that are not in the volume as they were sent."""
        there = _list(self._client, self._destination, photos)
        for photo in photos:
            size = self._sizes.get(photo.path)
            if photo.path not in self._tally.failed and there.get(photo.path) != size:
                self._tally.failed[photo.path] = f"sent {size} bytes, {there.get(photo.path, 'none')} arrived"
        return [photo for photo in photos if photo.path in self._tally.failed]


def _save(record: Record) -> None:
    """Write the record, if there is something new in it; without it, other machines send again, no more."""
    if record.is_saved:
        return
    try:
        record.save()
    except Exception as error:
        report(f"upload: the record of what was sent could not be written ({type(error).__name__})")
