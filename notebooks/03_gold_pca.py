# Databricks notebook source
# /// script
# [tool.databricks.environment]
# environment_version = "5"
# dependencies = ["--editable ..", "matplotlib>=3.9", "scikit-learn>=1.5"]
# ///
# MAGIC %md
# MAGIC # Gold
# MAGIC `silver_features` to `gold_pca`: k scores per photo.
# MAGIC The spectrum goes to `gold_spectrum`, the fitted models go to MLflow.

# COMMAND ----------

from fruits.gold import PCA, reduce_features
from fruits.platform import parameters
from fruits.platform.session import open_session
from fruits.platform.tables import Lake

# COMMAND ----------

settings = parameters.read(globals().get("dbutils"))  # widgets on Databricks, --name value elsewhere
spark = open_session(settings)

# COMMAND ----------

summary = reduce_features(spark, settings)
print(summary)

# COMMAND ----------

Lake(spark, settings.lake).read(PCA).show(5)

# COMMAND ----------

parameters.hand_over(globals().get("dbutils"), summary)  # what the job's output shows
