"""From a pandas or Arrow table to a trained, compressed and exported model, without TFX."""
