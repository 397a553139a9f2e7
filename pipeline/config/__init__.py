"""The configuration of a run: one YAML file, typed and validated."""
