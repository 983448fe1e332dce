"""The code that travels with a model."""

import zipfile

from fruits.platform.tracking_models import CODE, copy_code


def test_code_travels_without_what_the_classifier_does_not_need_also_from_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "fruits.zip", "w") as file:
        for name in (*CODE, "photo.jpg", "gold.py", "vision/backbone.py", "vision/fruits.tflite", "__pycache__/a.pyc"):
            file.writestr(f"fruits/{name}", name)
    copy_code(zipfile.Path(tmp_path / "fruits.zip", "fruits/"), tmp_path / "copy")
    files = [path for path in tmp_path.glob("copy/**/*") if path.is_file()]
    copied = {path.relative_to(tmp_path / "copy").as_posix(): path.read_text() for path in files}
    assert copied == {name: name for name in CODE}
