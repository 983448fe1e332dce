"""MLflow's own pages on the store of a lake."""

import os
import socket
import sys

from fruits.errors import FruitsError, SettingError
from fruits.platform.progress import report
from fruits.platform.tracking import open_tracking, resolve_uri, view_address
from fruits.settings import Settings

QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}


def serve_runs(settings: Settings, port: int) -> None:
    """Become MLflow's server, until Ctrl-C; where the runs are on a server already, say which.

    Raises:
        SettingError: no store is known, or the port is taken.
        FruitsError: nothing was recorded yet.
    """
    uri = resolve_uri(settings)
    if uri is None:
        raise SettingError("no MLflow store is known for this lake; give tracking=URI or set MLFLOW_TRACKING_URI")
    if uri.startswith(("http:", "https:", "databricks")):
        report(f"ui: the runs are on a server already: {uri}")
        return
    store = open_tracking(settings, create=False)
    if store is None:
        raise FruitsError(
            f"no experiment {settings.experiment!r} in {uri} yet; `fruits run` with the same lake makes it"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            raise SettingError(f"port={port} is taken or not allowed; try --port 5050") from None
    report(f"ui: MLflow on {uri} in a few seconds, Ctrl-C to stop; which k:")
    report(f"http://127.0.0.1:{port}{view_address(store)}")
    # One worker is enough for one person.
    options = ["--backend-store-uri", uri, "--port", str(port), "--workers", "1"]
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", "ui", *options], os.environ | QUIET)
