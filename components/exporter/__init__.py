"""Exporter: a Keras checkpoint to the file of an export target."""
