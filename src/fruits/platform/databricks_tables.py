"""Tables of a workspace as files on this machine, through a SQL warehouse."""

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from fruits.errors import FruitsError, SettingError
from fruits.platform.databricks import plain
from fruits.platform.progress import Progress, report

if TYPE_CHECKING:
    import pyarrow as pa
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.sql import EndpointInfo, StatementResponse

FORMATS = (".parquet", ".csv")
LEFT_OUT = ("content",)  # the photos themselves; they are files already
PAUSE = 2  # seconds between two looks at a statement
ATTEMPTS = 4  # to fetch one part of the result, each with a link of its own
BLOCK = 2**20


def check_file(name: str) -> Path:
    """Give the path of a file that can be written as a table.

    Raises:
        SettingError: it is of another format, or its folder is not there.
    """
    file = Path(name).expanduser()
    if file.suffix not in FORMATS or file.is_dir():
        raise SettingError(f"to={name!r} is not a file that ends in {' or '.join(FORMATS)}; try gold_pca.parquet")
    if not os.access(file.parent, os.W_OK):
        raise SettingError(f"to={name!r} is in no folder that can be written to; make it first")
    return file


def download_table(
    client: "WorkspaceClient", lake: str, table: str, file: Path, warehouse: str | None
) -> dict[str, Any]:
    """Write a table to a file; columns that hold photos are left out.

    The result comes in parts, each on disk before it is read, and leaves as it comes: memory does not grow with the
    table. The file is in its place only once it is complete.

    Args:
        client: the workspace.
        lake: catalog.schema.
        table: name of the table in it.
        file: what to write, .parquet or .csv; in a .csv, lists are JSON.
        warehouse: name or id of a SQL warehouse; None for the one there is, or one that runs.

    Returns:
        table, file, rows, bytes and seconds.

    Raises:
        SettingError: a lake in a folder.
        FruitsError: no such table or warehouse, no rows, or a result that did not come whole.
    """
    start = time.monotonic()
    columns = _find_columns(client, lake, table)
    chosen = choose_warehouse(list(client.warehouses.list()), warehouse)
    report(f"download: {lake}.{table} through warehouse {chosen.name!r}")
    names = ", ".join(map(_quote, columns))
    source = ".".join(map(_quote, (*lake.split("."), table)))
    statement = _execute(client, chosen.id, f"SELECT {names} FROM {source}")
    total = statement.manifest.total_row_count or 0
    if not total:
        raise FruitsError(f"{lake}.{table} has no rows yet; `fruits databricks run` fills it")
    part = file.with_name(f"{file.name}.part")
    try:
        rows = _write_parts(client, statement, part, total)
        if rows != total or statement.manifest.truncated:
            raise FruitsError(f"{lake}.{table} has {total} rows and {rows} came; run the same command again")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    seconds = round(time.monotonic() - start, 1)
    return {
        "table": f"{lake}.{table}",
        "file": str(file),
        "rows": rows,
        "bytes": file.stat().st_size,
        "seconds": seconds,
    }


def choose_warehouse(there: Sequence["EndpointInfo"], wanted: str | None) -> "EndpointInfo":
    """Take the warehouse asked for; without a wish the only one, a running one, or a serverless one.

    Raises:
        FruitsError: there is none to take.
    """
    names = ", ".join(repr(each.name) for each in there) or "none"
    if wanted is not None:
        fits = [each for each in there if wanted in (each.name, each.id)]
        if not fits:
            raise FruitsError(f"no SQL warehouse {wanted!r}; there are {names}")
        return fits[0]
    running = [each for each in there if each.state and plain(each.state) == "running"]
    serverless = [each for each in there if each.enable_serverless_compute]
    fits = list(there) if len(there) == 1 else running or serverless
    if not fits:
        way_out = "choose one with --warehouse NAME" if there else "make one under SQL Warehouses in the workspace"
        raise FruitsError(f"no SQL warehouse to take without a choice, there are {names}; {way_out}")
    return fits[0]


def _find_columns(client: "WorkspaceClient", lake: str, table: str) -> list[str]:
    from databricks.sdk.errors import NotFound

    catalog, _, schema = lake.partition(".")
    if not schema or "." in schema or "/" in lake:
        raise SettingError(f"lake={lake!r} is not catalog.schema; a SQL warehouse reads tables of Unity Catalog only")
    try:
        about = client.tables.get(f"{lake}.{table}")
    except NotFound:
        there = ", ".join(sorted(each.name for each in _tables(client, catalog, schema))) or "none"
        raise FruitsError(f"no table {table!r} in {lake}; it has {there}") from None
    return [column.name for column in about.columns or [] if column.name not in LEFT_OUT]


def _tables(client: "WorkspaceClient", catalog: str, schema: str) -> list[Any]:
    from databricks.sdk.errors import NotFound

    try:
        return list(client.tables.list(catalog, schema, omit_columns=True, omit_properties=True))
    except NotFound:
        return []


def _execute(client: "WorkspaceClient", warehouse_id: str, sql: str) -> "StatementResponse":
    """Run a statement to its end; a warehouse that sleeps is started by it."""
    from databricks.sdk.service.sql import Disposition, ExecuteStatementRequestOnWaitTimeout, Format

    statement = client.statement_execution.execute_statement(
        sql,
        warehouse_id,
        disposition=Disposition.EXTERNAL_LINKS,
        format=Format.ARROW_STREAM,
        wait_timeout="30s",
        on_wait_timeout=ExecuteStatementRequestOnWaitTimeout.CONTINUE,
    )
    told = False
    while plain(statement.status.state) in ("pending", "running"):
        if not told:
            report("download: the warehouse is starting or working")
            told = True
        time.sleep(PAUSE)
        statement = client.statement_execution.get_statement(statement.statement_id)
    if plain(statement.status.state) != "succeeded":
        error = statement.status.error
        said = " ".join((error.message or "").split())[:300] if error else "no reason given"
        raise FruitsError(f"the warehouse could not read the table: {plain(statement.status.state)}, {said}")
    return statement


def _write_parts(client: "WorkspaceClient", statement: "StatementResponse", file: Path, total: int) -> int:
    import pyarrow as pa

    progress, writer = Progress("download", total, "rows"), None
    try:
        for number in range(statement.manifest.total_chunk_count or 0):
            with _fetch(client, statement.statement_id, number) as content, pa.ipc.open_stream(content) as batches:
                writer = writer or _open_writer(file, batches.schema)
                rows = 0
                for batch in batches:
                    writer.write_batch(batch)
                    rows += batch.num_rows
            progress.add(rows)
    finally:
        if writer is not None:
            writer.close()
    return progress.done


@contextmanager
def _fetch(client: "WorkspaceClient", statement_id: str, number: int) -> Iterator[IO[bytes]]:
    """Give one part of a result as a file. A link is a secret that lasts minutes: fetched now, never shown."""
    import requests

    with tempfile.TemporaryFile() as content:
        for attempt in range(1, ATTEMPTS + 1):
            result = client.statement_execution.get_statement_result_chunk_n(statement_id, number)
            link = result.external_links[0]
            content.seek(0)
            content.truncate()
            try:
                _copy(link.external_link, link.http_headers or {}, content)
                break
            except requests.RequestException as error:
                if attempt == ATTEMPTS:
                    answer = getattr(error, "response", None)
                    why = f"status {answer.status_code}" if answer is not None else type(error).__name__
                    raise FruitsError(f"part {number + 1} of the table could not be fetched ({why})") from None
                time.sleep(attempt * PAUSE / 2)
        content.seek(0)
        yield content


def _copy(link: str, headers: dict[str, str], target: IO[bytes]) -> None:
    import requests

    with requests.Session() as session:
        # The store that holds the result must not see the workspace's token, nor what .netrc has for it.
        session.auth = lambda request: request
        with session.get(link, headers=headers, stream=True, timeout=60) as answer:
            answer.raise_for_status()
            for block in answer.iter_content(BLOCK):
                target.write(block)


class _Writer(Protocol):
    def write_batch(self, batch: "pa.RecordBatch") -> None: ...

    def close(self) -> None: ...


def _open_writer(file: Path, schema: "pa.Schema") -> _Writer:
    import pyarrow.csv
    import pyarrow.parquet

    if file.suffixes[-2] == ".parquet":
        return pyarrow.parquet.ParquetWriter(file, schema, compression="zstd")
    return _CsvWriter(file, schema)


class _CsvWriter:
    """CSV has no lists: they are written as JSON."""

    def __init__(self, file: Path, schema: "pa.Schema") -> None:
        import pyarrow as pa
        import pyarrow.csv

        self._nested = [place for place, field in enumerate(schema) if pa.types.is_nested(field.type)]
        for place in self._nested:
            schema = schema.set(place, pa.field(schema[place].name, pa.string()))
        self._schema = schema
        self._writer = pyarrow.csv.CSVWriter(file, schema)

    def write_batch(self, batch: "pa.RecordBatch") -> None:
        import pyarrow as pa

        columns = list(batch.columns)
        for place in self._nested:
            values = (None if value is None else json.dumps(value, default=str) for value in columns[place].to_pylist())
            columns[place] = pa.array(values, pa.string())
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
