"""What TFX's own Transform runs."""
