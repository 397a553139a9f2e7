"""Pusher: blessed models to a folder of versions, atomically."""
