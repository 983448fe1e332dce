"""The code that travels with a model."""

import zipfile

from fruits.platform.tracking_models import copy_code


def test_code_travels_without_data_and_caches_also_from_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "fruits.zip", "w") as file:
        for name in ("__init__.py", "stats/__init__.py", "stats/pca.py", "photo.jpg", "__pycache__/a.pyc", "data/b.py"):
            file.writestr(f"fruits/{name}", name)
    copy_code(zipfile.Path(tmp_path / "fruits.zip", "fruits/"), tmp_path / "copy")
    copied = {
        path.relative_to(tmp_path / "copy").as_posix(): path.read_text() for path in tmp_path.glob("copy/**/*.py")
    }
    assert copied == {name: name for name in ("__init__.py", "stats/__init__.py", "stats/pca.py")}
    assert not [path for path in tmp_path.glob("copy/**/*") if path.is_file() and path.suffix != ".py"]
