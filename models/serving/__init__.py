"""Scores raw rows with a pushed version: numpy and ai-edge-litert, no TensorFlow."""
