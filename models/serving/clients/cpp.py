"""The client in C++17: headers, and a program that scores rows with LiteRT's C library."""

from __future__ import annotations

from ranklite.models.serving.clients import About, Input
from ranklite.models.serving.clients.names import c_string, comment, words
from ranklite.models.serving.clients.templates import filled

HEADER, PROGRAM = "ranklite_client.hpp", "main.cpp"
_PLAIN = ("ranklite_model.hpp", "CMakeLists.txt")
_TYPES = {"string": "std::string", "int64": "std::int64_t", "float32": "double"}
# Keywords, the name of the struct, and what headers and compilers define as macros.
RESERVED = words(
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t
    char8_t class co_await co_return co_yield compl concept const const_cast consteval constexpr
    constinit continue decltype default delete do double dynamic_cast else enum explicit export
    extern false float for friend goto if inline int long mutable namespace new noexcept not not_eq
    nullptr operator or or_eq private protected public register reinterpret_cast requires return
    short signed sizeof static static_assert static_cast struct switch template this thread_local
    throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t while
    xor xor_eq Row std NULL EOF NAN INFINITY INT_MAX INT_MIN errno assert stdin stdout stderr linux
    unix major minor min max interface near far
    """
)


def files(about: About) -> dict[str, str]:
    """Contents by name."""
    pairs = about.fields(RESERVED)
    header = filled(
        "cpp",
        HEADER,
        model=comment(about.name),
        seed=f"{about.seed}u",
        fields="\n".join(f"  {_type(each)} {name};" for name, each in pairs),
        inputs="\n".join(f"      {_input(name, each)}," for name, each in pairs),
    )
    assignments = [
        f"  set(row.{name}, json.at({c_string(each.column.name)}));" for name, each in pairs
    ]
    program = filled("cpp", PROGRAM, assignments="\n".join(assignments))
    return {HEADER: header, PROGRAM: program, **{name: filled("cpp", name) for name in _PLAIN}}


def _type(each: Input) -> str:
    kind = "std::vector" if each.column.is_list else "std::optional"
    return f"{kind}<{_TYPES[each.column.dtype]}>"


def _input(name: str, each: Input) -> str:
    quoted, length = c_string(each.column.name), each.column.length
    if length is None:
        return f"one<{each.holds.title()}>({quoted}, rows, &Row::{name})"
    return f"list<{each.holds.title()}>({quoted}, {length}, rows, &Row::{name})"
