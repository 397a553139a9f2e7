"""A pushed version behind HTTP: Starlette, uvicorn and the scorer, no TensorFlow."""
