"""The rules of the house, read from the text: what may be imported where, and what serverless would refuse."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "fruits"
MODULES = sorted(SOURCE.rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
HEADER = "# Databricks notebook source"
WORKER_FILES = (
    "silver.py",
    "accumulate.py",
    "gold.py",
    "compare.py",
    "confusion.py",
    "thumbnails.py",
    "vision/decode.py",
    "vision/backbone.py",
)
STEPS = {"bronze", "silver", "accumulate", "record", "gold", "compare", "forget", "status", "pending"}

FORBIDDEN = {
    "sparkContext": "serverless and Connect have none",
    r"\bsc\.": "serverless and Connect have none",
    r"\.rdd\b": "serverless and Connect have none",
    r"\.cache\(": "serverless refuses it; write a table",
    r"\.persist\(": "serverless refuses it; write a table",
    r"\.checkpoint\(": "serverless refuses it; write a table",
    r"\.broadcast\(": "a small value travels in the closure",
    "databricks.sdk.runtime": "hangs without a workspace",
    r"[gG]lobal_?[tT]emp": "serverless refuses global temp views",
    r"\.conf\.set\(": "serverless refuses nearly every setting",
}


def code_of(file: Path) -> str:
    """Give the code of a file without its comments and docstrings."""
    return ast.unparse(_without_docstrings(ast.parse(file.read_text())))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
    return tree


def imports_of(file: Path) -> set[str]:
    """Name every module a file imports, wherever in it; imports for type checkers only do not count."""
    found = set()
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" if node.module == "fruits" else node.module for alias in node.names}
    return found


def part_of(module: str) -> str:
    """Name the part of the house a module of ours belongs to: fruits.stats.pca -> stats."""
    return module.split(".")[1] if module.startswith("fruits.") else ""


def named(files: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("file", files, ids=lambda file: str(file.relative_to(ROOT)))


def test_the_house_is_where_these_tests_look():
    assert len(MODULES) > 20
    assert len(NOTEBOOKS) == 5
    assert {file.stem for file in SOURCE.glob("*.py")} >= STEPS


@named(MODULES + NOTEBOOKS)
def test_nothing_that_serverless_or_connect_refuses(file):
    code = code_of(file)
    assert [(what, why) for what, why in FORBIDDEN.items() if re.search(what, code)] == []


def test_the_search_for_forbidden_things_finds_them():
    for line in (
        "spark.sparkContext",
        "x = sc.parallelize([])",
        "df.rdd.map(f)",
        "df.cache()",
        "df.persist()",
        "df.checkpoint()",
        "F.broadcast(df)",
        "from databricks.sdk.runtime import dbutils",
        "df.createGlobalTempView('x')",
        "spark.conf.set('a', 'b')",
    ):
        assert any(re.search(what, line) for what in FORBIDDEN), line


@named(MODULES)
def test_a_module_never_looks_like_a_notebook(file):
    assert not file.read_text().startswith(HEADER)


@named(MODULES)
def test_a_module_is_short_enough_to_read(file):
    assert len(file.read_text().splitlines()) <= 300
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef):
            statements = [
                each for each in node.body if not isinstance(each, ast.Expr) or ast.get_docstring(node) is None
            ]
            length = node.end_lineno - statements[0].lineno + 1 if statements else 0
            assert length <= 45, f"{node.name} has {length} lines"


@named(MODULES)
def test_imports_go_one_way(file):
    part = part_of("fruits." + ".".join(file.relative_to(SOURCE).with_suffix("").parts))
    parts = {part_of(module) for module in imports_of(file)} - {"", "errors", "settings", part}
    if part.startswith("cli"):
        return
    assert not {each for each in parts if each.startswith("cli")}
    if part in ("settings", "errors"):
        assert parts == set()
    if part == "stats":
        assert parts == set()
    if part == "vision":
        assert parts <= {"platform"}
    if part == "platform":
        assert not parts & STEPS
    if part == "views":
        assert not parts & {"bronze", "silver", "accumulate", "record", "gold", "compare", "forget"}
    if part in STEPS:
        order = ["bronze", "silver", "accumulate", "record", "gold", "compare"]
        later = order[order.index(part) :] if part in order else []
        assert not parts & {*later, "forget", "status", "pending"}


@named([file for file in MODULES if file.parent.name in ("stats", "vision")])
def test_stats_and_vision_know_no_spark(file):
    assert not {module for module in imports_of(file) if module.startswith("pyspark")}
    assert "fruits.platform.session" not in imports_of(file)


@named([file for file in MODULES if file.parent.name == "stats"])
def test_stats_need_numpy_and_nothing_else(file):
    ours = {module for module in imports_of(file) if module.startswith("fruits.")}
    others = {module.split(".")[0] for module in imports_of(file) - ours} - set(sys.stdlib_module_names)
    assert others <= {"numpy"}
    assert {part_of(module) for module in ours} <= {"stats", "errors", "settings"}


@named([SOURCE / name for name in WORKER_FILES])
def test_nothing_of_the_package_is_imported_inside_a_worker_function(file):
    """There the package may not be installed: functions travel by value, an import of it inside them would fail."""
    driver_only = {"_record_rows", "_calibrate"}  # called beside the session, never by a worker
    inside = [
        f"{node.name}: {ast.unparse(each)}"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name not in driver_only
        for each in ast.walk(node)
        if (isinstance(each, ast.ImportFrom) and (each.module or "").startswith("fruits"))
        or (isinstance(each, ast.Import) and any(alias.name.startswith("fruits") for alias in each.names))
    ]
    assert inside == []


def test_every_function_that_runs_in_workers_lives_in_a_file_watched_above():
    calls = r"\.map(InArrow|InPandas)\(|\bpandas_udf\b|F\.udf\("
    users = {str(file.relative_to(SOURCE)) for file in MODULES if re.search(calls, file.read_text())}
    assert users <= set(WORKER_FILES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("fruits.cli", "pyspark mlflow tensorflow keras matplotlib pandas numpy"),
        ("fruits.settings", "pyspark mlflow numpy"),
        ("fruits.stats.pca", "pyspark mlflow pandas"),
        ("fruits.vision.decode", "pyspark mlflow tensorflow"),
        ("fruits.gold", "mlflow tensorflow keras matplotlib sklearn"),
        ("fruits.status", "mlflow tensorflow keras matplotlib"),
        ("fruits.report", "mlflow tensorflow keras matplotlib bokeh jinja2"),
        ("fruits.views.report", "pyspark mlflow matplotlib bokeh jinja2"),
        ("fruits.views.deck", "pyspark mlflow matplotlib bokeh"),
        ("fruits.cli_views", "pyspark mlflow pandas numpy bokeh jinja2 PIL pptx"),
        ("fruits.cli_databricks", "databricks requests pyspark mlflow pandas numpy"),
        ("fruits.platform.databricks_upload", "databricks requests pyspark mlflow pandas numpy"),
        ("fruits.platform.databricks_jobs", "databricks requests pyspark mlflow"),
        ("fruits.platform.databricks_models", "databricks requests pyspark mlflow"),
        ("fruits.cli_emr", "boto3 botocore pyspark mlflow pandas numpy"),
        ("fruits.platform.s3_upload", "boto3 botocore pyspark mlflow pandas numpy"),
        ("fruits.platform.emr_cost", "boto3 botocore pyspark mlflow pandas numpy"),
        ("fruits.platform.aws", "boto3 botocore pyspark mlflow pandas numpy"),
        ("fruits.platform.emr_start", "boto3 botocore pyspark mlflow pandas numpy"),
        ("fruits.platform.emr_stack", "boto3 botocore pyspark mlflow pandas numpy"),
        ("fruits.platform.emr_publish", "boto3 botocore pyspark mlflow pandas numpy"),
        ("fruits.platform.emr_destroy", "boto3 botocore pyspark mlflow pandas numpy"),
        ("fruits.platform.databricks_tables", "databricks requests pyspark mlflow pyarrow"),
    ],
)
def test_an_import_brings_nothing_heavy_with_it(module, without):
    script = f"import sys, {module}; print(*[name for name in {without.split()} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("\n", "")


def test_a_job_needs_neither_spark_nor_tensorflow_from_us():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    hard = {re.match(r"[\w-]+", each)[0] for each in project["dependencies"]}
    assert not hard & {"pyspark", "delta-spark", "tensorflow", "tensorflow-cpu", "keras", "databricks-connect"}
    assert not [each for each in project["dependencies"] if "==" in each or "<" in each]
    assert set(project["optional-dependencies"]) == {"local", "databricks", "emr", "deck", "lab", "weights", "dev"}


def test_requirements_pin_everything_exactly():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] not in "#"]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", line)] == []
    pinned = {line.split("==")[0] for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [each for group in project["optional-dependencies"].values() for each in group] + project["dependencies"]
    assert {re.match(r"[\w-]+", each)[0].lower() for each in wanted} <= pinned


def test_no_file_names_a_place_of_one_machine():
    place = re.compile(r"(?<![\w.])/(work|home|Users)/\w|/simple/|\bfiles\.python")
    files = [*MODULES, *NOTEBOOKS, *ROOT.glob("*.*"), ROOT / "Makefile", *ROOT.glob("resources/**/*.*")]
    files += ROOT.glob("docs/*.html")
    texts = {file.name: file.read_text() for file in files if file.is_file() and file.name != ".git"}
    assert "README.md" in texts
    assert [name for name, text in texts.items() if place.search(text)] == []
