"""The classifier as MLflow loads it: photo bytes in, an answer out. Needs neither Spark nor TensorFlow.

MLflow runs this file where the model is loaded, beside a copy of what it needs of this package.
"""

from pathlib import Path

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from fruits.classifier import load_classifier

BLOCK = 64  # photos whose features are held at a time


class PhotoClassifier(PythonModel):
    """A Classifier, as MLflow asks for it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the network and the fitted numbers."""
        self.classifier = load_classifier(Path(context.artifacts["network"]).parent)

    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        """Classify photos.

        Args:
            context: not used, all is loaded.
            model_input: DataFrame with a column `content`, the bytes of a photo each.
            params: not used.

        Returns:
            DataFrame with label, probability, next, information, decision and error, one row per photo in the same
            order. A photo that cannot be read has no label, probability NaN and an error in words.
        """
        contents = list(model_input["content"])
        blocks = (contents[start : start + BLOCK] for start in range(0, len(contents), BLOCK))
        answers = [vars(answer) for block in blocks for answer in self.classifier.classify(block)]
        # Told to pandas 3, or it would read texts of its own and turn None into NaN.
        rows = {name: [answer[name] for answer in answers] for name in COLUMNS if name != "next"}
        rows["next"] = [list(answer["next"]) for answer in answers]
        return pd.DataFrame(
            {name: pd.Series(rows[name], dtype=kind, index=model_input.index) for name, kind in COLUMNS.items()}
        )


COLUMNS = {
    "label": object,
    "probability": float,
    "next": object,
    "information": object,
    "decision": object,
    "error": object,
}

mlflow.models.set_model(PhotoClassifier())
