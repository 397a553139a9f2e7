"""Everything about the model, with no TFX in it.

Importing this package selects Keras 2 (`tf_keras`) for TensorFlow: tfmot and tfrs are built on it.
The choice is an environment variable that TensorFlow reads once, so it has to be made before
TensorFlow is first imported; nothing heavy is imported here, which keeps the scorer free of it.
"""

import os
import sys

if os.environ.setdefault("TF_USE_LEGACY_KERAS", "1") != "1":
    raise ImportError(
        f"TF_USE_LEGACY_KERAS={os.environ['TF_USE_LEGACY_KERAS']!r}: RankLite needs '1', because "
        "tensorflow-model-optimization works on tf_keras only. Unset it or set it to 1."
    )
if "keras" in sys.modules and "tf_keras" not in sys.modules and "tensorflow" in sys.modules:
    raise ImportError(
        "TensorFlow was imported with Keras 3 before RankLite. Import `ranklite.models` first, or "
        "set TF_USE_LEGACY_KERAS=1 in the environment."
    )
