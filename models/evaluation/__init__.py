"""Metrics, intervals, curves and gates."""
