"""The custom TFX components of RankLite, one folder each."""

import models  # noqa: F401  chooses Keras 2 before anything imports TensorFlow
