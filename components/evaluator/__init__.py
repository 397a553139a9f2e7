"""TFX's own Evaluator, set up to score exported files in the runtime that ships them."""
