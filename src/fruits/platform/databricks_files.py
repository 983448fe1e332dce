"""Files of a volume: listed and sent by many threads at once, and the record of what was sent."""

import gzip
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fruits.errors import FruitsError, SettingError
from fruits.platform.databricks import READ_TIMEOUT
from fruits.platform.files import cache_folder
from fruits.platform.upload import LARGE, THREADS, hash_file, in_threads

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

RETRIES = 5
RECORD = "_fruits_upload.json.gz"  # no listing of Spark's shows a name that begins so


def list_folders(client: "WorkspaceClient", folders: Iterable[str]) -> dict[str, int]:
    """Give path to size of every file directly in the given folders of a volume; a missing folder has none."""
    from databricks.sdk.errors import NotFound

    sizes: dict[str, int] = {}

    def look(folder: str) -> None:
        try:
            found = [each for each in client.files.list_directory_contents(folder) if not each.is_directory]
        except NotFound:
            return
        sizes.update({f"{folder}/{each.name}": each.file_size for each in found})

    in_threads(look, sorted(set(folders)))
    return sizes


class Sender:
    """Sends files into a volume. Safe to use from many threads.

    The SDK's own upload costs 1.2 ms of Python a call, a third of which is reading the process's environment for
    proxies again; one prepared session costs half, and also tries an error of the server again, which the SDK does not.
    """

    def __init__(self, client: "WorkspaceClient", connections: int = THREADS) -> None:
        """Open a session that logs in as the client does, through the same proxies and with the same certificates."""
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3 import Retry

        self._client = client
        self._session = requests.Session()
        retries = Retry(
            RETRIES,
            backoff_factor=0.5,
            backoff_jitter=0.5,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=("PUT",),  # the whole file each time: twice is as good as once
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections, pool_block=True, max_retries=retries))
        self._options = self._session.merge_environment_settings(client.config.host, {}, False, None, None)

    def send(self, file: Path, path: str, announce: Callable[[str], None]) -> tuple[int, str]:
        """Put a file where `path` says, folders included; returns its size and sha256.

        Args:
            file: on this machine.
            path: in the volume.
            announce: called with the sha256 before anything is sent.

        Raises:
            DatabricksError: the workspace refused it.
            OSError: the file could not be read, or the connection was lost again and again.
        """
        if file.stat().st_size > LARGE:  # by the SDK, in parts
            digest = hash_file(file)
            announce(digest)
            self._client.files.upload_from(path, str(file), overwrite=True)
            return file.stat().st_size, digest
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        announce(digest)
        self._put(path, content)
        return len(content), digest

    def _put(self, path: str, content: bytes) -> None:
        import requests
        from databricks.sdk.errors import STATUS_CODE_MAPPING, DatabricksError

        config = self._client.config
        headers = {**config.authenticate(), "User-Agent": config.user_agent, "Content-Type": "application/octet-stream"}
        if config.workspace_id:
            headers["X-Databricks-Workspace-Id"] = config.workspace_id
        url = f"{config.host}/api/2.0/fs/files{quote(path)}?overwrite=true"
        request = requests.Request("PUT", url, headers, data=content).prepare()
        answer = self._session.send(request, timeout=READ_TIMEOUT, allow_redirects=False, **self._options)
        if not answer.ok or answer.is_redirect:
            raise STATUS_CODE_MAPPING.get(answer.status_code, DatabricksError)(_message_of(answer))


class Record:
    """What is known of a destination: the sha256 of each file, by its path.

    It is kept in the destination itself, under a name that Spark passes over, so that every machine can skip what is
    there; and, while files are being sent, in a journal on this machine, which a killed upload leaves behind.
    """

    def __init__(self, client: "WorkspaceClient", destination: str) -> None:
        """Read the record, and the journal if nobody has written the record since."""
        self._client, self._path = client, f"{destination}/{RECORD}"
        name = hashlib.sha256(f"{client.config.host} {destination}".encode()).hexdigest()[:16]
        self._journal = cache_folder() / "uploads" / f"{name}.jsonl"
        self._lock = Lock()
        content = self._download()
        self.hashes: dict[str, str] = _read_record(content)
        self._based_on = hashlib.sha256(content).hexdigest()
        self.is_saved = not self._read_journal()

    def __enter__(self) -> "Record":
        """Open the journal; it goes on where it ended."""
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._journal.open("a", encoding="utf-8")
        self._note({"based_on": self._based_on})
        return self

    def __exit__(self, *_: object) -> None:
        """Close the journal, and remove it if the destination knows all that is in it."""
        self._file.close()
        if self.is_saved:
            self._journal.unlink(missing_ok=True)

    def add(self, path: str, digest: str) -> None:
        """Remember a file; a process killed after this has remembered it."""
        with self._lock:
            self.hashes[path] = digest
            self.is_saved = False
            self._note({"path": path, "sha256": digest})

    def forget(self, path: str) -> None:
        """Remember nothing of a file: it did not arrive."""
        with self._lock:
            self.hashes.pop(path, None)
            self._note({"path": path, "sha256": ""})

    def save(self) -> None:
        """Write the record to the destination."""
        with self._lock:
            content = gzip.compress(json.dumps({"sha256": self.hashes}).encode(), 1, mtime=0)
        self._client.files.upload(self._path, io.BytesIO(content), overwrite=True)
        with self._lock:
            self._based_on, self.is_saved = hashlib.sha256(content).hexdigest(), True
            self._note({"based_on": self._based_on})

    def _note(self, entry: Mapping[str, str]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def _download(self) -> bytes:
        from databricks.sdk.errors import NotFound

        try:
            with self._client.files.download(self._path).contents as content:
                return content.read()
        except NotFound:
            return b""

    def _read_journal(self) -> bool:
        """Take over what a killed upload noted, if it is about the record as it is; returns whether it is."""
        entries = list(_read_lines(self._journal))
        marks = [entry["based_on"] for entry in entries if "based_on" in entry]
        if not marks or marks[-1] != self._based_on:
            self._journal.unlink(missing_ok=True)
            return False
        for entry in entries:
            if entry.get("sha256"):
                self.hashes[entry["path"]] = entry["sha256"]
            elif "path" in entry:
                self.hashes.pop(entry["path"], None)
        return True


def _read_record(content: bytes) -> dict[str, str]:
    """Read a record; one that cannot be read knows nothing, and what is there is sent again."""
    try:
        return {str(path): str(digest) for path, digest in json.loads(gzip.decompress(content))["sha256"].items()}
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _read_lines(journal: Path) -> Iterator[dict[str, Any]]:
    if not journal.is_file():
        return
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # the line a kill cut off
            continue
        if isinstance(entry, dict):
            yield entry


def _message_of(answer: Any) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def check_volume(client: "WorkspaceClient", destination: str) -> str:
    """See that the volume of a destination is there; returns the destination in one spelling.

    Raises:
        SettingError: it is no path in a volume.
        FruitsError: the volume is not there.
    """
    from databricks.sdk.errors import NotFound

    given, destination = destination, os.path.normpath(destination.strip().removeprefix("dbfs:"))
    if not re.match(r"/Volumes(/[^/]+){3}", destination):
        raise SettingError(f"{given!r} is not in a volume; give /Volumes/catalog/schema/volume, or a folder below it")
    volume = "/".join(destination.split("/")[:5])
    try:
        client.files.get_directory_metadata(volume)
    except NotFound:
        raise FruitsError(
            f"volume {volume!r} is not there, or may not be seen; `databricks bundle deploy` makes it, --to PATH takes "
            "another"
        ) from None
    return destination
