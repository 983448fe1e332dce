"""The classifier as MLflow loads it: photo bytes in, label and probability out. Needs neither Spark nor TensorFlow.

MLflow runs this file where the model is loaded, beside a copy of this package that travels with the model.
"""

import json
import threading
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from fruits.stats.discriminant import Discriminant, classify
from fruits.stats.pca import Pca, project
from fruits.vision.decode import decode_photo


class PhotoClassifier(PythonModel):
    """Decodes a photo, runs the network, projects to k PCA scores and names the most probable label."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the network and the fitted numbers."""
        from ai_edge_litert.interpreter import Interpreter

        network = Path(context.artifacts["network"]).read_bytes()
        self.interpreter = Interpreter(model_content=network, num_threads=1)
        self.interpreter.allocate_tensors()
        self.lock = threading.Lock()  # a server predicts in several threads, an interpreter in one
        labels = tuple(json.loads(Path(context.artifacts["labels"]).read_text(encoding="utf-8")))
        with np.load(context.artifacts["arrays"]) as arrays:
            self.pca = Pca(**_read_part(arrays, "pca."))
            self.discriminant = Discriminant(labels=labels, **_read_part(arrays, "discriminant."))

    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        """Classify photos.

        Args:
            context: not used, all is loaded.
            model_input: DataFrame with a column `content`, the bytes of a photo each.
            params: not used.

        Returns:
            DataFrame with label, probability and error, one row per photo in the same order. A photo that cannot be
            read has no label, probability NaN and an error in words; the others have no error.
        """
        photos = [self._measure(content) for content in model_input["content"]]
        errors = [error for _, error in photos]
        readable = np.array([error is None for error in errors], dtype=bool)
        labels, probabilities = np.full(len(photos), None, dtype=object), np.full(len(photos), np.nan)
        if readable.any():
            k = len(self.pca.components)
            scores = project(np.stack([features for features, error in photos if error is None]), self.pca, k)
            labels[readable], probabilities[readable] = classify(scores, self.discriminant, k)
        # Told to pandas 3, or it would read these as texts and turn None into NaN.
        columns = {"label": pd.Series(labels, dtype=object), "probability": probabilities}
        return pd.DataFrame(columns | {"error": pd.Series(errors, dtype=object)}).set_index(model_input.index)

    def _measure(self, content):
        """Give the features of one photo, or None and what is wrong with it."""
        given, result = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]
        pixels, error = decode_photo(content, int(given["shape"][1]))
        if error is not None:
            return None, error
        with self.lock:
            self.interpreter.set_tensor(given["index"], pixels[np.newaxis])
            self.interpreter.invoke()
            return self.interpreter.get_tensor(result["index"]).reshape(-1), None


def _read_part(arrays, prefix):
    """Read the fields of one dataclass; [()] makes numbers of arrays without dimension."""
    return {name.removeprefix(prefix): arrays[name][()] for name in arrays.files if name.startswith(prefix)}


mlflow.models.set_model(PhotoClassifier())
