"""The classifier as MLflow loads it: photo bytes in, an answer out. Needs neither Spark nor TensorFlow.

MLflow runs this file where the model is loaded, beside a copy of what it needs of this package.
"""

from pathlib import Path

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from fruits.classifier import load_classifier

COLUMNS = ("label", "probability", "next", "information", "decision", "error")


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
            order. A photo that cannot be read has nothing but an error in words.
        """
        answers = self.classifier.classify(model_input["content"])
        rows = {name: [getattr(answer, name) for answer in answers] for name in COLUMNS}
        rows["next"] = [list(each) for each in rows["next"]]
        # Objects, whatever pandas would make of them: NaN for nothing is no JSON.
        return pd.DataFrame(
            {name: pd.Series(values, dtype=object, index=model_input.index) for name, values in rows.items()}
        )


mlflow.models.set_model(PhotoClassifier())
