"""Moments, PCA and discriminant: numpy only, no Spark, no files."""
