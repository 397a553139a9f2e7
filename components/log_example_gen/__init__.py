"""LogExampleGen: interaction logs to TFX Examples, read with DuckDB."""
