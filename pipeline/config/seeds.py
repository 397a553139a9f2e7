"""What cannot be trained with several seeds."""

from __future__ import annotations

from ranklite.models.training.config import TrainingConfig


def check_seeds(repeat: int, training: TrainingConfig) -> None:
    """Refuses a run whose other seeds would not be trained as its own model is.

    Args:
      repeat: How many seeds are asked for.
      training: Of the float model.

    Raises:
      ValueError: They would not; the message says what to do.
    """
    if repeat > 1 and training.warm_start:
        raise ValueError(
            f"repeat: {repeat} with training.warm_start: models that start from the weights of the "
            "one pushed last do not show how much seeds differ; set repeat to 1 or warm_start to "
            "false"
        )
    if repeat > 1 and training.strategy == "multi_worker":
        raise ValueError(
            f"repeat: {repeat} with training.strategy 'multi_worker': other seeds are trained in "
            "one process; take 'mirrored' or 'none', or set repeat to 1"
        )
