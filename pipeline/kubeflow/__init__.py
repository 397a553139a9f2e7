"""The pipeline on Kubeflow Pipelines 2: compile, upload, schedule, and what runs in its pods."""
