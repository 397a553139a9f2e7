"""Reads a YAML file into a typed configuration, with errors that a person can act on.

Every error names the file, the line, the key, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import pydantic
import yaml

from ranklite.models.registered import Registered
from ranklite.pipeline.config.renamed import OldName, rename
from ranklite.pipeline.config.yaml_text import NotYaml, compose, construct

Loc = tuple[int | str, ...]
ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)


class ConfigError(ValueError):
    """A configuration file is wrong; the message lists every mistake in it."""


def parse(text: str, file_name: str, model: type[ConfigT]) -> ConfigT:
    """Parses and validates YAML text.

    Args:
      text: The YAML document.
      file_name: Named in the errors.
      model: The class that it must fit.

    Returns:
      The validated configuration.

    Raises:
      ConfigError: The text is not YAML, repeats a key, also by an old and a new name, or does
        not fit the class.
    """
    try:
        root = compose(text)
        repeated = [
            f"{file_name}:{key.start_mark.line + 1}: key {key.value!r} is given twice"
            for key in _repeated_keys(root)
        ]
        rename(root, file_name)
        data = construct(root)
    except NotYaml as error:
        line = f":{error.line}" if error.line else ""
        raise ConfigError(f"{file_name}{line}: not valid YAML: {error}") from error
    except OldName as error:
        raise ConfigError(f"{file_name}:{error.line}: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{file_name}: a mapping of keys is expected, not {_shown(data)}")
    if repeated:
        raise ConfigError("\n".join(repeated))
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        mistakes = error.errors(include_url=False)
        lines = [
            f"{file_name}:{_line(root, _named(data, item))}: {_explain(model, data, item)}"
            for item in mistakes
            # An error inside a list makes pydantic find the list too short as well.
            if not any(_inside(other["loc"], item["loc"]) for other in mistakes)
        ]
        raise ConfigError("\n".join(lines)) from error


def _named(data: dict[str, Any], error: Any) -> Loc:
    """The path of an error; one about several keys lies at the key that its text begins with."""
    if error["loc"]:
        return tuple(error["loc"])
    path: Loc = ()
    inner: Any = data
    for key in re.split(r"[^a-z_0-9.]", error["msg"].removeprefix("Value error, "))[0].split("."):
        if not isinstance(inner, dict) or key not in inner:
            break
        path, inner = (*path, key), inner[key]
    return path


def _inside(inner: Loc, outer: Loc) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _repeated_keys(node: yaml.Node | None) -> list[yaml.Node]:
    repeated: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                repeated.append(key)
            seen.add(key.value)
            repeated += _repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            repeated += _repeated_keys(value)
    return repeated


def _line(root: yaml.Node | None, loc: Loc) -> int:
    """Line of the deepest node on the path that stands in the file, counted from 1."""
    node = root
    line = 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    node, line = value, key.start_mark.line + 1
                    break
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value)
        ):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _path(data: Any, loc: Loc) -> str:
    """The key as a person writes it: `features[2].kind`; pydantic's union tags are left out."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
            data = data[part] if isinstance(data, (list, tuple)) and part < len(data) else None
        elif isinstance(data, dict) and part in data:
            text += f".{part}" if text else part
            data = data[part]
        elif part == loc[-1] and isinstance(data, dict):  # a key that should be there
            text += f".{part}" if text else part
    return text


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _explain(model: type[pydantic.BaseModel], data: Any, error: Any) -> str:
    loc: Loc = error["loc"]
    key = _path(data, loc) or "the file"
    kind = error["type"]
    if kind == "extra_forbidden":
        allowed = _allowed_keys(model, data, loc[:-1])
        close = difflib.get_close_matches(str(loc[-1]), allowed, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"{key}: unknown key{hint}; allowed: {', '.join(allowed)}"
    if kind == "missing":
        return f"{key}: this key is required"
    if kind == "union_tag_invalid" and not error["ctx"]["discriminator"].endswith("()"):
        return _explain_tag(key, **error["ctx"])
    if kind == "unknown_entry":
        return _explain_tag(key, **{k: v for k, v in error["ctx"].items() if k != "reason"})
    message = error["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return message if _named(data, error) != loc else f"{key}: {message}"
    return f"{key} = {_shown(error['input'])}: {message[0].lower()}{message[1:]}"


def _explain_tag(key: str, discriminator: str, tag: str, expected_tags: str) -> str:
    """What is registered, where the name of an entry is none of it."""
    close = difflib.get_close_matches(tag, re.findall(r"'([^']*)'", expected_tags), n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    name = discriminator.strip("'")
    return f"{key}.{name} = {tag!r}: not registered{hint}; registered are {expected_tags}"


def _allowed_keys(
    model: type[pydantic.BaseModel], data: Any, loc: Sequence[int | str]
) -> list[str]:
    """Keys that the configuration class at a path accepts."""
    candidates: list[Any] = [model]
    for part in loc:
        result: list[Any] = []
        data = _at(data, part)
        for candidate in candidates:
            if isinstance(candidate, Registered):
                result += [candidate] if not isinstance(data, dict) else [candidate.entry(data)]
            elif isinstance(part, int) or part in _tags(candidate):
                result.append(candidate)
            elif part in candidate.model_fields:
                field = candidate.model_fields[part]
                result += _models(field.annotation)
        candidates = result or candidates
    candidates = [each.entry(data) if isinstance(each, Registered) else each for each in candidates]
    return sorted({name for candidate in candidates for name in candidate.model_fields})


def _at(data: Any, part: int | str) -> Any:
    """The value at a key or index; the data themselves where the part is a union's tag."""
    if isinstance(part, int):
        return data[part] if isinstance(data, (list, tuple)) and part < len(data) else data
    return data[part] if isinstance(data, dict) and part in data else data


def _tags(model: type[pydantic.BaseModel]) -> set[str]:
    """What selects a class in a union: its name, or a literal value of one of its fields.

    A field with a default selects only where it can have no other value.
    """
    return {model.__name__, model.__name__.lower()} | {
        value
        for field in model.model_fields.values()
        if typing.get_origin(field.annotation) is typing.Literal
        and (field.is_required() or len(typing.get_args(field.annotation)) == 1)
        for value in typing.get_args(field.annotation)
    }


def _models(annotation: Any) -> list[Any]:
    """Configuration classes that occur in a type; a `Registered` where a registry knows them."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, pydantic.BaseModel) else []
    marks = [
        mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Registered)
    ]
    if marks:
        return marks
    return [model for inner in typing.get_args(annotation) for model in _models(inner)]
