"""Keras layers of all families: tables, pooling, interactions, quantizers."""
