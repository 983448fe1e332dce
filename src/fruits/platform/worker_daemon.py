"""What starts Spark's Python workers on a laptop: Spark's own daemon, but without archives in Python's path.

Spark puts its own zips and jars there, compiles pyspark from a zip at every start, and reads the list of files in each
archive again for every task: a tenth of a second, as long as many a task takes.
"""

import importlib.util
import sys

ARCHIVES = (".zip", ".jar")


def drop_archives() -> None:
    """Leave folders only in Python's path, unless pyspark is in an archive only."""
    every = sys.path[:]
    sys.path[:] = [each for each in every if not each.endswith(ARCHIVES)]
    sys.path_importer_cache.clear()
    if importlib.util.find_spec("pyspark") is None:
        sys.path[:] = every


def refuse_jars() -> None:
    """Keep Delta's jars out too, which every task is told to add."""
    from pyspark import worker, worker_util

    module = worker_util if hasattr(worker_util, "add_path") else worker  # it moved there in Spark 4
    add_path = module.add_path
    module.add_path = lambda path: None if path.endswith(".jar") else add_path(path)


if __name__ == "__main__":
    drop_archives()
    refuse_jars()
    from pyspark.daemon import manager

    manager()
