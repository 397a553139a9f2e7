"""Scores raw rows with a pushed version: numpy and the runtime of its target, no TensorFlow."""
