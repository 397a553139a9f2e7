"""Finished runs side by side, and the recipes that a search tried."""
