"""The client in Swift: an encoder, a model for iOS and macOS, and a check of the encoder."""

from __future__ import annotations

from ranklite.models.serving.clients import About, Input
from ranklite.models.serving.clients.names import comment, swift_string, words
from ranklite.models.serving.clients.templates import filled

CLIENT, MODEL, CHECK = "RankLiteClient.swift", "RankLiteModel.swift", "main.swift"
_TYPES = {"string": "String", "int64": "Int64", "float32": "Double"}
# Keywords of declarations, statements, expressions and types.
RESERVED = words(
    """
    Any Protocol Self Type as associatedtype break case catch class continue default defer deinit do
    else enum extension fallthrough false fileprivate for func guard if import in init inout
    internal is let nil open operator precedencegroup private protocol public repeat rethrows return
    self static struct subscript super switch throw throws true try typealias var where while
    """
)


def files(about: About) -> dict[str, str]:
    """Contents by name."""
    pairs = about.fields(RESERVED)
    client = filled(
        "swift",
        CLIENT,
        model=comment(about.name),
        seed=about.seed,
        fields="\n".join(f"    var {name}: {_type(each)}" for name, each in pairs),
        inputs="\n".join(f"    inputs.append({_input(name, each)})" for name, each in pairs),
    )
    assignments = "\n".join(f"  row.{name} = {_value(each)}" for name, each in pairs)
    return {
        CLIENT: client,
        MODEL: filled("swift", MODEL),
        CHECK: filled("swift", CHECK, assignments=assignments),
    }


def _type(each: Input) -> str:
    one = _TYPES[each.column.dtype]
    return f"[{one}] = []" if each.column.is_list else f"{one}? = nil"


def _input(name: str, each: Input) -> str:
    quoted, length = swift_string(each.column.name), each.column.length
    sizes = "rows" if length is None else f"{length}, rows"
    if each.holds == "number":
        return f"try numbers({quoted}, {sizes}, \\.{name})"
    function = "textOfList" if each.is_text and each.column.is_list else each.holds
    return f"ids({quoted}, {sizes}, \\.{name}, {function})"


def _value(each: Input) -> str:
    """A value of a row of JSON."""
    json, read = f"json[{swift_string(each.column.name)}]", each.reads
    return f"list({json}, {read})" if each.column.is_list else f"{read}({json})"
