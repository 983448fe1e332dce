"""What differs between a laptop, Databricks and EMR; nothing here knows a fruit."""
