# Databricks notebook source
# /// script
# [tool.databricks.environment]
# environment_version = "5"
# dependencies = ["--editable ..", "bokeh>=3.6", "matplotlib>=3.9", "scikit-learn>=1.5"]
# ///
# MAGIC %md
# MAGIC # Explore
# MAGIC What is in a lake, to look at and to play with: change a variable at the top of a cell, and run that cell again.
# MAGIC Nothing is written.

# COMMAND ----------

from fruits.backbones import compare_backbones
from fruits.platform import parameters
from fruits.platform.session import open_session
from fruits.report import gather_report
from fruits.settings import MAX_COMPONENTS
from fruits.views import explore
from fruits.views.plots import plot_backbones
from fruits.views.show import show

# COMMAND ----------

settings = parameters.read(globals().get("dbutils"))  # widgets on Databricks, --name value elsewhere
spark = open_session(settings)

# COMMAND ----------

# MAGIC %md
# MAGIC This cell asks Spark, once; those that draw are quick. Of more than `sample` photos, those with the lowest hash
# MAGIC of their path are looked at one by one; counts, accuracies and confusions are of all.

# COMMAND ----------

sample = 10_000
data = gather_report(spark, settings, sample, MAX_COMPONENTS)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What came in

# COMMAND ----------

label = None  # all; or one of them, as "Apple Red 1"
show(explore.draw_labels(data, label))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Which k?
# MAGIC The recommended k is the smallest whose accuracy on Test is within one point of the best.

# COMMAND ----------

k = data.k  # the recommended one; or another, up to data.kept
show(explore.draw_variance(data, k))
show(explore.draw_accuracy(data))

# COMMAND ----------

# MAGIC %md
# MAGIC ## The photos on a map
# MAGIC Each dot is a photo in the colour of its fruit. Point at one to see it; the tools beside the map move and zoom.

# COMMAND ----------

across, up = 1, 2  # components
label = None  # all; or one, whose dots stand out
show(explore.draw_map(data, across, up, label))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What a component sees
# MAGIC What sets the photos at one end apart from those at the other is what the component measures.

# COMMAND ----------

component = 1
show(explore.draw_component(data, component))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What a photo is most alike to

# COMMAND ----------

photo = None  # the first of data.photos; or its path, as "Test/Apple Red 1/3_100.jpg"
show(explore.draw_neighbours(data, photo, k))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Alike, though their labels differ
# MAGIC Hard cases, and sometimes a photo in the wrong folder.

# COMMAND ----------

show(explore.draw_lookalikes(data, k))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What is taken for what

# COMMAND ----------

k = data.k  # or another that was compared
show(explore.draw_confusions(data, k))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Networks side by side
# MAGIC `silver_features` may hold features of several networks; none is run on all photos again. This adds those of a
# MAGIC smaller input, and `weights="fruits"` those of another network; the other tables and the champion stay:
# MAGIC ```
# MAGIC from dataclasses import replace
# MAGIC from fruits.silver import featurise_photos
# MAGIC featurise_photos(spark, replace(settings, weights="imagenet", input_size=96))
# MAGIC ```

# COMMAND ----------

networks = compare_backbones(spark, settings)
show(plot_backbones(networks.to_dict("records")))

# COMMAND ----------

measures = ["cumulative_explained_variance", "accuracy_test"]
show(networks.pivot(index="k", columns="backbone", values=measures).round(3))
show(networks.groupby("backbone")[["photos", "photos_per_second"]].first().round())
