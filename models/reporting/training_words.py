"""What the float training tells a person: settings that the data chose, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from ranklite.models.reporting import drift_words

FEW_STEPS = 200
_CHOSEN = ("batch_size", "learning_rate", "oov_rate")  # what may follow the data


def chosen(metrics: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The settings that followed the data, as they can be pasted into a configuration; "" if none.

    Args:
      metrics: Of the float training.
      config: Of the run.

    Returns:
      A line a section of the configuration.

    Example:
        >>> chosen({"batch_size": 512, "oov_rate": {"user": 0.1}}, {"training": {"oov_rate": 0.0}})
        'training: {batch_size: 512}'
        >>> print(chosen({"tuned": {"model": {"dropout": 0.1}, "training": {"ridge": 2.5}}}, {}))
        model: {dropout: 0.1}
        training: {ridge: 2.5}
    """
    given = config.get("training") or {}
    open_ones = {key: metrics[key] for key in _CHOSEN if key in metrics and given.get(key) is None}
    tuned = metrics.get("tuned", {})
    parts = {**tuned, "training": {**tuned.get("training", {}), **open_ones}}
    return "\n".join(
        f"{section}: "
        + yaml.safe_dump(part, default_flow_style=True, sort_keys=False, width=10**6).strip()
        for section, part in parts.items()
        if part
    )


def as_trained(config: dict[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with what a search for settings chose.

    Example:
        >>> as_trained({"model": {"dropout": 0.2}}, {"tuned": {"model": {"dropout": 0.1}}})
        {'model': {'dropout': 0.1}}
    """
    tuned = metrics.get("tuned", {})
    return config | {name: config.get(name, {}) | part for name, part in tuned.items()}


def searched(trials: Mapping[str, Any]) -> str:
    """What a search for settings came to, in a sentence.

    Args:
      trials: `trials.json` of SettingsSearch.
    """
    tried = trials["trials"]
    states = [trial["state"] for trial in tried]
    others = [f"{states.count(name)} {name}" for name in ("pruned", "failed") if name in states]
    sentence = f"{len(tried)} trials" + (f" ({', '.join(others)})" if others else "")
    best, first = (tried[k]["figures"].get("auc") for k in (trials["best"], 0))
    sentence += f", validation AUC {best:.4f} the best"
    if trials["gain"] is None:
        return f"{sentence}, which is taken; the configured settings did not train"
    if not trials["best"]:
        return f"{sentence}, of the configured settings, which stay"
    sentence += (
        f", {first:.4f} as configured, a gain of {trials['gain']:.4f} with a standard error of "
        f"{trials['noise']:.4f}"
    )
    if trials["chosen"]:
        return f"{sentence}: the best is taken"
    return f"{sentence}: within noise, so that the configured settings stay"


def warnings(metrics: Mapping[str, Any], ingest: Mapping[str, Any]) -> list[str]:
    """What is wrong with the length of the training, and with the labels that it saw.

    Args:
      metrics: Of the float training.
      ingest: `report.json` of LogExampleGen; empty where there is none.

    Example:
        >>> warnings({"steps": 12, "epochs": 6, "still_improving": 0.0}, {})
        ['training took 12 steps in 6 epochs: few to learn from; lower training.batch_size']
    """
    result = []
    if metrics.get("steps", FEW_STEPS) < FEW_STEPS:
        result.append(
            f"training took {metrics['steps']:.0f} steps in {metrics['epochs']:.0f} epochs: few to "
            "learn from; lower training.batch_size"
        )
    if metrics.get("still_improving"):
        result.append(
            f"validation AUC still rose when training stopped after {metrics['epochs']:.0f} "
            "epochs: raise training.epochs"
        )
    return result + drift_words.warnings(ingest)
