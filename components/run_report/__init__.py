"""RunReport: one page that says what a run made of which data, and what compression cost."""
