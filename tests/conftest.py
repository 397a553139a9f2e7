"""Shared by all tests."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import models  # noqa: E402, F401  chooses Keras 2 before any test imports TensorFlow
