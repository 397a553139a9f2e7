"""LogExampleGen: interaction logs to TFX Examples, read with DuckDB."""


class IngestError(ValueError):
    """A log cannot become examples; the message says what is wrong with it and what to do."""
