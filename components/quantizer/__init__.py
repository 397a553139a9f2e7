"""Quantizer: int8 quantization-aware training of a model."""
