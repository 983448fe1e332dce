"""Upload of many small files: `fruits databricks upload` beside one SDK call after another, in one run.

With --s3 it is `fruits emr upload` beside one call of boto3 after another.

A server on this machine stands in for the workspace or for S3, in a process of its own; an answer of it takes 20 ms.
The files one after another are a few hundred, and their time is extrapolated. Then the upload is killed in its middle
and started again, and the server counts what came.
"""

import argparse
import asyncio
import hashlib
import io
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

VOLUME = "/Volumes/main/fruits/photos"


class Workspace(asyncio.Protocol):
    """As much of the Files API as an upload needs."""

    folders: dict[str, dict[str, int]] = {}  # noqa: RUF012 - folder to name to size, of all connections
    records: dict[str, bytes] = {}  # noqa: RUF012
    sent = 0
    delay = 0.02

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin with nothing read."""
        self.transport, self.buffer = transport, bytearray()

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        if b"\r\nExpect: 100-continue\r\n" in data:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, b"HTTP/1.1 100 Continue\r\n\r\n")
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end]).decode("latin-1")
            length = re.search(r"(?i)\r\ncontent-length: (\d+)", head)
            size = int(length[1]) if length else 0
            if len(self.buffer) < end + 4 + size:
                return
            body = bytes(self.buffer[end + 4 : end + 4 + size])
            del self.buffer[: end + 4 + size]
            method, target = head.split(" ", 2)[:2]
            self.head, self.query, self.more = head, parse_qs(target.partition("?")[2]), ""
            status, content = self.answer(method, unquote(target.split("?")[0]), body)
            text = f"HTTP/1.1 {status} OK\r\n{self.more}Content-Length: {len(content)}\r\n\r\n".encode()
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, text + content)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Do what a request asks."""
        if path == "/count":
            return 200, json.dumps(Workspace.sent).encode()
        name = path.removeprefix("/api/2.0/fs/files").removeprefix("/api/2.0/fs/directories")
        if method == "PUT":
            folder, _, file = name.rpartition("/")
            self.folders.setdefault(folder, {})[file] = len(body)
            Workspace.sent += ".jpg" in name
            if ".jpg" not in name:
                self.records[name] = body
            return 204, b""
        if method == "GET" and "/fs/directories" in path:
            entries = [{"name": file, "file_size": size} for file, size in self.folders.get(name, {}).items()]
            return (200 if entries else 404), json.dumps({"contents": entries}).encode()
        if method == "GET" and "/fs/files" in path:
            return (200, self.records[name]) if name in self.records else (404, b"{}")
        return 200, b"" if method == "HEAD" else b"{}"


class Bucket(Workspace):
    """As much of S3 and STS as an upload needs."""

    objects: dict[str, tuple[int, str]] = {}  # noqa: RUF012 - key to size and MD5

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Do what a request asks."""
        if path == "/count":
            return 200, json.dumps(Workspace.sent).encode()
        if method == "POST":
            who = "<GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult>"
            return 200, f"<GetCallerIdentityResponse>{who}</GetCallerIdentityResponse>".encode()
        if method == "PUT":
            digest = hashlib.md5(body).hexdigest()
            self.objects[path.partition("/")[2].partition("/")[2]] = len(body), digest
            Workspace.sent += 1
            checksum = re.search(r"(?i)\r\n(x-amz-checksum-sha256: \S+)", self.head)
            self.more = f'ETag: "{digest}"\r\n' + (f"{checksum[1]}\r\n" if checksum else "")
        if method == "GET":
            after = self.query.get("start-after", [""])[0]
            keys = sorted(key for key in self.objects if key > after)
            rows = [
                f"<Contents><Key>{quote(key)}</Key><Size>{size}</Size><ETag>{digest}</ETag></Contents>"
                for key, (size, digest) in ((key, self.objects[key]) for key in keys[:1000])
            ]
            about = f"<IsTruncated>{str(len(keys) > 1000).lower()}</IsTruncated><EncodingType>url</EncodingType>"
            return 200, f"<ListBucketResult>{about}{''.join(rows)}</ListBucketResult>".encode()
        return 200, b""


def serve(port: "multiprocessing.Queue[int]", kind: type[Workspace]) -> None:
    """Run the server until the process is ended."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", 0, backlog=500)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def count(host: str) -> int:
    """Ask how many photos were sent so far."""
    import urllib.request

    with urllib.request.urlopen(f"{host}/count") as answer:
        return json.load(answer)


def write_files(folder: Path, n: int, labels: int) -> None:
    """Write n files of 3 to 7 kB, as photos of 100 x 100 pixels are."""
    draw = random.Random(0)
    for i in range(n):
        file = folder / "Training" / f"Fruit {i % labels}" / f"{i}_100.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(draw.randbytes(draw.randint(3000, 7000)))


def upload_one_by_one(folder: Path, n: int) -> float:
    """Upload n files with the SDK, one after another; returns seconds a file."""
    from databricks.sdk import WorkspaceClient

    client = WorkspaceClient()

    def send(file: Path) -> None:
        client.files.upload(f"{VOLUME}/one by one/{file.name}", io.BytesIO(file.read_bytes()), overwrite=True)

    return time_each(send, folder, n)


def put_one_by_one(folder: Path, n: int) -> float:
    """Put n files into S3 with boto3, one after another; returns seconds a file."""
    import boto3

    client = boto3.client("s3")

    def send(file: Path) -> None:
        client.put_object(Bucket="fruits", Key=f"one by one/{file.name}", Body=file.read_bytes())

    return time_each(send, folder, n)


def time_each(send: Callable[[Path], None], folder: Path, n: int) -> float:
    """Send n files, one after another; returns seconds a file."""
    files = sorted(folder.rglob("*.jpg"))[:n]
    start = time.perf_counter()
    for file in files:
        send(file)
    return (time.perf_counter() - start) / len(files)


def upload(store: str, folder: Path, to: str, stop_at: int | None = None) -> tuple[dict, float]:
    """Run `fruits databricks upload` or `fruits emr upload`; with stop_at, kill it when so many photos have come."""
    command = [sys.executable, "-m", "fruits.cli", store, "upload", str(folder), "--to", to, "--json"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if stop_at is not None:
        while count(os.environ["AWS_ENDPOINT_URL"]) < stop_at and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    out = process.communicate()[0]
    return json.loads(out or "{}"), time.perf_counter() - start


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--labels", type=int, default=131)
    parser.add_argument("--one-by-one", type=int, default=300)
    parser.add_argument("--s3", action="store_true", help="into S3 instead of a volume")
    given = parser.parse_args()
    store, place_of = ("emr", "s3://fruits/photos") if given.s3 else ("databricks", VOLUME)
    context = multiprocessing.get_context("spawn")
    port = context.Queue()
    server = context.Process(target=serve, args=(port, Bucket if given.s3 else Workspace), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as place:
        host = f"http://127.0.0.1:{port.get()}"
        os.environ |= {"DATABRICKS_HOST": host, "DATABRICKS_TOKEN": "of no use", "FRUITS_CACHE": f"{place}/cache"}
        os.environ |= {"AWS_ENDPOINT_URL": host, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "of no use"}
        os.environ |= {"AWS_DEFAULT_REGION": "eu-west-3", "AWS_EC2_METADATA_DISABLED": "true"}
        folder = Path(place, "photos")
        write_files(folder, given.files, given.labels)
        each = (put_one_by_one if given.s3 else upload_one_by_one)(folder, given.one_by_one)
        print(f"one after another: {each * 1000:.1f} ms a file, {each * given.files:.0f} s for {given.files} files")
        result, seconds = upload(store, folder, place_of)
        assert result["sent"] == given.files
        print(f"fruits {store} upload: {seconds:.1f} s, of which {seconds - result['seconds']:.1f} s are its start")
        print(
            f"{each * given.files / seconds:.1f} times as fast; without the start {_ratio(each, given.files, result)}"
        )
        again, seconds = upload(store, folder, place_of)
        print(f"again: {seconds:.1f} s, {again['skipped']} skipped, {again['sent']} sent")
        before = count(host)
        upload(store, folder, f"{place_of}/killed", before + given.files // 2)
        time.sleep(0.5)
        came = count(host) - before
        result, _ = upload(store, folder, f"{place_of}/killed")
        sent = count(host) - before
        print(f"killed after {came} files: then {result['sent']} sent, {result['skipped']} skipped, {sent} came in all")
    server.terminate()


def _ratio(each: float, files: int, result: dict) -> str:
    return f"{each * files / result['seconds']:.1f} times"


if __name__ == "__main__":
    main()
