"""What starts Spark's Python workers on a laptop: Spark's own daemon, but without archives in Python's path.

Spark puts two zips and the 15 MB spark-core jar there, compiles pyspark from its zip at every start, and reads the list
of files in each archive again for every task: a tenth of a second, as long as many a task takes.
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


if __name__ == "__main__":
    drop_archives()
    from pyspark.daemon import manager

    manager()
