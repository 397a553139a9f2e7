"""Finished runs side by side: what differs in figures, configuration, code and data."""
