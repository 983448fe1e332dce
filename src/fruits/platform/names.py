"""What runs and models are called in MLflow, for the code that records them and the code that only looks."""

CHAMPION = "champion"  # alias of the promoted version
KINDS = ("pca", "classifier")  # of models; registered as <prefix><kind>
PREFIX = "fruits_"  # of registered models

MODEL_TAG = "fruits.model"  # of a run that is a fit, and of its model versions
PARENT_TAG = "mlflow.parentRunId"
RECOMMENDED_TAG = "recommended"
AT_K = "cumulative_explained_variance_at_k"  # metric of a fit
