"""LiteConverter: a Keras checkpoint to a TFLite file."""
