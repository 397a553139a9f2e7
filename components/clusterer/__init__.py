"""Clusterer: lets the weights of a trained model share a few values."""
