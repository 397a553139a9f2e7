"""Pruner: magnitude pruning of a trained DeepFM."""
