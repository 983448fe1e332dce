# Databricks notebook source
# /// script
# [tool.databricks.environment]
# environment_version = "5"
# dependencies = ["--editable ..", "matplotlib>=3.9", "scikit-learn>=1.5"]
# ///
# MAGIC %md
# MAGIC # Compare
# MAGIC Every k of `k_values` scored in one pass: `gold_comparison`, a nested MLflow run per k, the champion alias.

# COMMAND ----------

from fruits.compare import COMPARISON, compare_components
from fruits.platform import parameters
from fruits.platform.session import open_session
from fruits.platform.tables import Lake

# COMMAND ----------

settings = parameters.read(globals().get("dbutils"))  # widgets on Databricks, --name value elsewhere
spark = open_session(settings)

# COMMAND ----------

summary = compare_components(spark, settings)
print(summary)

# COMMAND ----------

Lake(spark, settings.lake).read(COMPARISON).orderBy("k").show()

# COMMAND ----------

parameters.hand_over(globals().get("dbutils"), summary)  # what the job's output shows
