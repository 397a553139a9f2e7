"""Whatever stands in a YAML file, the command line ends with words about it and 1, or takes it."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import os
import pathlib
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks import small_run
from ranklite.pipeline.cli.main import main
from ranklite.pipeline.config.errors import ConfigError, parse
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.local.synthetic import generate

EXAMPLES = int(os.environ.get("RANKLITE_FUZZ", "60"))  # thousands were tried; these are quick
SHIPPED = sorted((pathlib.Path(__file__).parents[3] / "configs").glob("*.yaml"))

WORDS = st.sampled_from(
    [
        "*",
        "[",
        "../..",
        "/",
        ".",
        "..",
        "~",
        "%",
        "{YYYY}",
        "{SPAN}",
        "{",
        "ü",
        "0",
        "-1",
        "1e400",
        "nan",
        ".inf",
        "null",
        "yes",
        "SELECT 1",
        "SELECT",
        ";",
        '"',
        "'",
        '""\n    ',
        "label",
        "click",
        "user",
        "item",
        "timestamp",
        "eval",
        "train",
        "time",
        "files",
        "categorical",
        "numeric",
        "prune",
        "quantize",
        "a.b\n    ",
        "gs://b/c",
        "s3://",
        "utf-16",
        "base64",
        "rot13",
        "__class__",
        "${HOME}",
        "case when",
        "1/0",
        "click/0",
        " ",
        "",
    ]
    + ["\x00", "a\x00b", "\ud800", "\n", "\u2028", "a" * 5000, "|"]
)
NUMBERS = st.sampled_from(
    [0, -1, 1, 2, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400, 0.0, -0.0, 0.5, 1e-300, 1e300]
    + [float("inf"), float("-inf"), float("nan")]
)
SCALARS = st.none() | st.booleans() | NUMBERS | WORDS | st.text(max_size=8) | st.integers()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            WORDS | st.sampled_from(["kind", "name", "by", "files"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
TEXTS = st.sampled_from(
    [
        "*a",
        "&a",
        "&a [*a]",
        "<<: *a",
        "<<",
        "!!python/object:os.system",
        "!!binary x",
        "!!set",
        "? ",
        "|",
        ">",
        "---\n",
        "...\n",
        "]",
        "}",
        ": ",
        "- \n    ",
        "#",
        "'",
        '"',
        '"\\ud800"',
        "1e999999",
        "0x",
        "!!float x",
        "!!int ''",
        "!!timestamp 2026-99-99",
        "!!null x",
        "2026-01-01",
        "@",
        "`\n    ",
        "%YAML 9.9\n",
        "\t",
        "\r",
    ]
    + ["\x00", "\x07", "\ufeff", "\x85", "[" * 70, "{" * 200, "9" * 5000, "0x" + "f" * 400]
)


@functools.cache
def shipped(path: pathlib.Path) -> tuple[str, Any]:
    text = path.read_text(encoding="utf-8")
    return text, yaml.safe_load(text)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(inner, (*path, key))
    return found


def keys(model: type[Any] = RunConfig) -> list[str]:
    return list(model.model_fields)


@st.composite
def changed(draw: st.DrawFn, data: Any) -> Any:
    """A configuration one to three of whose values are others, gone, or new."""
    data = copy.deepcopy(data)
    for _ in range(draw(st.integers(1, 3))):
        known = places(data)
        if not known:
            break
        *above, last = draw(st.sampled_from(known))
        inside = functools.reduce(lambda value, key: value[key], above, data)
        how = draw(st.sampled_from(["value", "value", "gone", "new", "top", "moved"]))
        if how == "gone":
            del inside[last]
        elif how == "new" and isinstance(inside, dict):
            inside[draw(WORDS)] = draw(VALUES)
        elif how == "top":
            data[draw(st.sampled_from(keys()))] = draw(VALUES)
        elif how == "moved":
            *there, key = draw(st.sampled_from(known))
            with contextlib.suppress(KeyError, IndexError, TypeError):
                other = functools.reduce(lambda value, key: value[key], there, data)[key]
                inside[last] = copy.deepcopy(other)
        else:
            inside[last] = draw(VALUES)
    return data


@st.composite
def broken(draw: st.DrawFn, text: str) -> str:
    """Text with a few places cut out, doubled, or filled with what YAML knows."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        put = draw(TEXTS | SCALARS.map(str) | st.just(text[start:end] * 2))
        text = text[:start] + put + text[end:]
    return text


def dumped(data: Any) -> str:
    """YAML of data; what PyYAML cannot write stands as JSON does."""
    try:
        return yaml.safe_dump(data, allow_unicode=True)
    except (yaml.YAMLError, UnicodeError):
        return json.dumps(data)


def taken(text: str) -> None:
    """Reads a configuration, and whatever a run asks of it before it begins."""
    why, config = "my.yaml: it is right", None
    try:
        config = parse(text, "my.yaml", RunConfig)
    except ConfigError as error:
        why = str(error)
    assert why.startswith("my.yaml")
    assert len(why) > len("my.yaml: ")
    if config is not None:
        assert config.summary()
        RunConfig.model_validate_json(config.model_dump_json())


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
@pytest.mark.fault("a shipped configuration's values are others (60 of them)", "words or a run")
def test_no_value_is_a_traceback(data: st.DataObject) -> None:
    _, values = shipped(data.draw(st.sampled_from(SHIPPED)))
    taken(dumped(data.draw(changed(values))))


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
@pytest.mark.fault("a shipped configuration's text is broken (60 times)", "words or a run")
def test_no_text_is_a_traceback(data: st.DataObject) -> None:
    text, _ = shipped(data.draw(st.sampled_from(SHIPPED)))
    taken(data.draw(broken(text)))


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=st.lists(TEXTS | SCALARS.map(str) | st.sampled_from(keys()), max_size=12).map("".join))
@example(text="")
@example(text="name: &a {b: *a}")
def test_no_other_text_is_a_traceback(text: str) -> None:
    taken(text)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("log")
    generate(str(folder), rows=60)
    return folder


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(data=st.data())
@pytest.mark.fault("a configuration of a log is changed (30 times)", "`validate` ends with 0 or 1")
def test_validating_with_a_log_ends_with_words(log: pathlib.Path, data: st.DataObject) -> None:
    values = {
        **small_run.SETTINGS,
        "name": "small",
        "source": {"files": "*.csv", "query": "SELECT * FROM logs", "query_seconds": 2, "csv": {}},
        "negatives": {"per_positive": 2, "redraw": "epoch"},
        "item": "item",
    }
    path = log.parent / "hostile.yaml"
    path.write_bytes(dumped(data.draw(changed(values))).encode(errors="surrogatepass"))
    told = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        code = main(["validate", "--config", str(path), "--data", str(log)])
    assert code in (0, 1)
    if code:
        assert len(told.getvalue()) > len("ranklite validate: ")
        assert "Traceback" not in told.getvalue()
