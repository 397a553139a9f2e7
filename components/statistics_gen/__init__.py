"""What TFX's own StatisticsGen runs."""
