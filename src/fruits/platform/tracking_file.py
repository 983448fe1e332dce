"""MLflow's store in a file, with the artifacts beside it."""

import os
import shutil
import tempfile
from pathlib import Path


def prepare_file(uri: str) -> str | None:
    """Make the file of a sqlite URI, and its folder, where they are missing.

    Returns:
        The folder of artifacts beside it, as a URI; None for a server, which has its own place.
    """
    file = _sqlite_file(uri)
    if file is None:
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        _make_whole(file)
    return (file.parent / "mlartifacts").as_uri()


def may_exist(uri: str) -> bool:
    """Whether there may be a store: a file that is there, or any server."""
    file = _sqlite_file(uri)
    return file is None or file.is_file()


def _make_whole(file: Path) -> None:
    """Make an empty store elsewhere and put it in place whole: one killed among its migrations never opens again."""
    with tempfile.TemporaryDirectory() as folder:
        part = file.with_name(f"{file.name}.{os.getpid()}")
        shutil.copy(make_empty_store(Path(folder)), part)
        try:
            os.link(part, file)
        except OSError:  # another process was faster, and its store stays; or a file system without links
            if not file.exists():
                part.replace(file)
        finally:
            part.unlink(missing_ok=True)


def make_empty_store(folder: Path) -> Path:
    """Make MLflow's tables in a file of a folder: a second of migrations."""
    from mlflow import MlflowClient

    file = folder / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").get_experiment("0")
    return file


def _sqlite_file(uri: str) -> Path | None:
    if not uri.startswith("sqlite:"):
        return None
    from sqlalchemy.engine import make_url

    database = make_url(uri).database
    return Path(database).absolute() if database and database != ":memory:" else None
