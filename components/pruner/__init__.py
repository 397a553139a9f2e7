"""Pruner: removes weights, units or rows of a trained model."""
