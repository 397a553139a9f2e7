"""Clusterer: lets the weights of a trained DeepFM share a few values."""
