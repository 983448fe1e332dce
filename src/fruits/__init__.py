"""Photos to PCA features with Spark: bronze, silver, gold and a comparison of k."""

__version__ = "0.1.0"
