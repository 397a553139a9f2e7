"""What can be wrong with a log."""


class IngestError(ValueError):
    """A log cannot become examples; the message says what is wrong with it and what to do."""
