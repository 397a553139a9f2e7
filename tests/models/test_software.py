"""Versions and processor are those of this process."""

from __future__ import annotations

import platform

import numpy as np
import pytest

from models import software


def test_versions() -> None:
    found = software.versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_PACKAGES", ("numpy", "no-such-package"))
    assert set(software.versions()) == {"python", "numpy"}


def test_processor_has_a_name() -> None:
    assert software.processor().strip()
