"""The pipeline: its configuration, its DAG, its runners and the command line."""

import ranklite.models  # noqa: F401  chooses Keras 2 before anything imports TensorFlow
