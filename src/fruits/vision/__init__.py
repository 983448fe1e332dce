"""From the bytes of a photo to its feature vector; no Spark session here."""
