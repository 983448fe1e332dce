# Databricks notebook source
# /// script
# [tool.databricks.environment]
# environment_version = "5"
# dependencies = ["--editable ..", "matplotlib>=3.9", "scikit-learn>=1.5"]
# ///
# MAGIC %md
# MAGIC # Silver
# MAGIC `bronze_images` to `silver_features`: 1280 numbers per photo, or an error in words.
# MAGIC The network sees each content once.

# COMMAND ----------

from fruits.platform import parameters
from fruits.platform.session import open_session
from fruits.platform.tables import Lake
from fruits.silver import SILVER, featurise_photos

# COMMAND ----------

settings = parameters.read(globals().get("dbutils"))  # widgets on Databricks, --name value elsewhere
spark = open_session(settings)

# COMMAND ----------

summary = featurise_photos(spark, settings)
print(summary)

# COMMAND ----------

Lake(spark, settings.lake).read(SILVER).show(5)

# COMMAND ----------

parameters.hand_over(globals().get("dbutils"), summary)  # what the job's output shows
