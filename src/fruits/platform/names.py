"""What runs and models are called in MLflow, for the code that records them and the code that only looks."""

import re

CHAMPION = "champion"  # alias of the promoted version
KINDS = ("pca", "classifier")  # of models; the setting <kind>_model has what one is registered as

MODEL_TAG = "fruits.model"  # of a run that is a fit, and of its model versions
PARENT_TAG = "mlflow.parentRunId"
RECOMMENDED_TAG = "recommended"
AT_K = "cumulative_explained_variance_at_k"  # metric of a fit
# What a recorded fit is drawn and saved with: module and package.
RECORDERS = {"matplotlib": "matplotlib", "sklearn": "scikit-learn"}


def workspace_experiment(name: str) -> str:
    """Write an experiment's name as a workspace knows it: absolute, without the /Workspace a bundle puts before it."""
    return re.sub("^/Workspace(?=/)", "", name) if name.startswith("/") else f"/Shared/{name}"
