"""What TFX's own Trainer runs."""
