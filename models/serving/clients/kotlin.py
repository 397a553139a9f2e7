"""The client in Kotlin: an encoder for any JVM, a model for Android, and a check of the encoder."""

from __future__ import annotations

from ranklite.models.serving.clients import About, Input, push_settings
from ranklite.models.serving.clients.names import comment, kotlin_string, signed, words
from ranklite.models.serving.clients.templates import filled

CLIENT, MODEL, CHECK = "RankLiteClient.kt", "RankLiteModel.kt", "Check.kt"
_TYPES = {"string": "String", "int64": "Long", "float32": "Double"}
_LISTS = {"text": "texts", "integer": "integers", "hashed": "hashes"}
# Hard keywords: others are names too.
RESERVED = words(
    """
    as break class continue do else false for fun if in interface is null object package return
    super this throw true try typealias typeof val var when while
    """
)


def files(about: About) -> dict[str, str]:
    """Contents by name."""
    pairs = about.fields(RESERVED)
    client = filled(
        "kotlin",
        CLIENT,
        model=comment(about.name),
        seed=signed(about.seed),
        fields="\n".join(f"    @JvmField val {name}: {_type(each)}," for name, each in pairs),
        inputs="\n".join(f"        {_input(name, each)}," for name, each in pairs),
    )
    values = "\n".join(f"    {name} = {_value(each)}," for name, each in pairs)
    return {
        CLIENT: client,
        MODEL: filled("kotlin", MODEL, batch=push_settings(about.metadata)["browser_batch"]),
        CHECK: filled("kotlin", CHECK, values=values),
    }


def _type(each: Input) -> str:
    one = _TYPES[each.column.dtype]
    return f"List<{one}> = emptyList()" if each.column.is_list else f"{one}? = null"


def _input(name: str, each: Input) -> str:
    quoted, length = kotlin_string(each.column.name), each.column.length
    sizes = "rows" if length is None else f"{length}, rows"
    if each.holds == "number":
        return f"numbers({quoted}, {sizes}) {{ it.{name} }}"
    function = each.holds if length is None else _LISTS[each.holds]
    return f"ids({quoted}, {sizes}) {{ {function}(it.{name}) }}"


def _value(each: Input) -> str:
    """A value of a row of JSON."""
    json, read = f"json[{kotlin_string(each.column.name)}]", each.reads
    return f"list({json}, ::{read})" if each.column.is_list else f"{read}({json})"
