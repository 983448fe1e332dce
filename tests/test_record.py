"""What MLflow keeps of a fit: its calibration is that of the Test photos in the table, read once and never computed."""

from dataclasses import replace

import pytest
from features import BACKBONE, make_features, matrix, read_features, write_features

from fruits import record
from fruits.accumulate import count_groups
from fruits.gold import fit_features
from fruits.stats.calibration import UNCALIBRATED, calibrate
from fruits.stats.discriminant import fit_discriminant


def test_a_fit_is_calibrated_on_its_labelled_test_photos(lake, tmp_path, monkeypatch):
    tables = [
        make_features(30, d=12),
        make_features(40, "Test", seed=1, d=12),
        make_features(5, "Test", ("Quince",), seed=2, d=12),
    ]
    unused = [
        make_features(6, "Test", (None,), seed=3, d=12),
        make_features(4, "Test", seed=4, d=12, error="unreadable photo"),
        make_features(4, "Test", seed=5, d=12, backbone="another-32-test"),
    ]
    write_features(lake, *tables, *unused)
    fit = fit_features(lake, BACKBONE, count_groups(lake)[BACKBONE])
    discriminant = fit_discriminant(fit.labelled("Training"), fit.pca, 3)
    photos = read_features(lake)
    photos = photos[(photos["split"] == "Test") & photos["label"].notna()]
    features = matrix(photos)
    expected = calibrate(features, photos["label"].tolist(), fit.pca, discriminant, 3)
    found = record.calibrate_fit(lake, BACKBONE, fit, discriminant, 3)
    assert vars(found) == pytest.approx(vars(expected), rel=1e-9, nan_ok=True)
    assert (found.photos, 0 < found.accuracy <= 40 / 45) == (45, True)
    monkeypatch.setattr(record, "CALIBRATION_PHOTOS", 10)
    few = [record.calibrate_fit(lake, BACKBONE, fit, discriminant, 3) for _ in range(2)]
    assert few[0].photos == 10 and repr(few[0]) == repr(few[1])

    assert record.calibrate_fit(lake, BACKBONE, fit, None, 3) == UNCALIBRATED
    untested = replace(fit, groups=[group for group in fit.groups if group.split == "Training"])
    assert record.calibrate_fit(lake, BACKBONE, untested, discriminant, 3) == UNCALIBRATED
