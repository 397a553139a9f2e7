"""Fits a model of any family on transformed Examples."""
