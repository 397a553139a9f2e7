"""TFX's own Evaluator, set up to score TFLite files in the runtime that ships them."""
