# Databricks notebook source
# /// script
# [tool.databricks.environment]
# environment_version = "5"
# dependencies = ["--editable ..", "matplotlib>=3.9", "scikit-learn>=1.5"]
# ///
# MAGIC %md
# MAGIC # Bronze
# MAGIC Photos to `bronze_images`: a row per file, its label from its folder, its bytes unaltered.
# MAGIC Only new and changed files are read.

# COMMAND ----------

from fruits.bronze import BRONZE, ingest_photos
from fruits.pending import has_work
from fruits.platform import parameters
from fruits.platform.session import open_session
from fruits.platform.tables import Lake

# COMMAND ----------

settings = parameters.read(globals().get("dbutils"))  # widgets on Databricks, --name value elsewhere
spark = open_session(settings)

# COMMAND ----------

summary = ingest_photos(spark, settings)
print(summary)

# COMMAND ----------

Lake(spark, settings.lake).read(BRONZE).drop("content").show(5)

# COMMAND ----------

# What the job's output shows, and whether the job goes on.
parameters.hand_over(globals().get("dbutils"), summary, has_work=lambda: has_work(spark, settings))
