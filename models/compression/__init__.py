"""Compression: techniques, recipes of them, and the search for the best within a budget."""
