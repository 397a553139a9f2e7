"""Which lines of JSON Lines are objects, and files that are JSON of another form."""

from __future__ import annotations

from ranklite.components.log_example_gen import IngestError
from ranklite.models.features.sql import quoted

# What DuckDB takes for JSON and no other reader does: `[1,]`, and `inf` or `nan` in any case.
_NO_JSON = quoted(r"(?i),[ \t]*[}\]]|[:,\[][ \t]*-?(?:inf|nan)")
_BARE = r"""regexp_replace(line, '"(?:[^"\\]|\\.)*"', '', 'g')"""  # without its texts
_LENIENT = (  # a CASE computes for few lines what AND would compute for all
    f"CASE WHEN regexp_matches(line, {_NO_JSON}) THEN regexp_matches(replace(replace(replace("
    f"{_BARE}, '-NaN', 'nan'), 'NaN', ''), 'Infinity', ''), {_NO_JSON}) ELSE false END"
)
IS_OBJECT = (  # SQL of whether the column `line` is one
    f"CASE WHEN json_valid(line) AND NOT ({_LENIENT}) THEN json_type(line) = 'OBJECT' "
    "ELSE false END"
)


def check_first_line(path: str, copy: str) -> None:
    """Tells JSON of another form from lines that are damaged.

    Args:
      path: The file.
      copy: What is read in its place.

    Raises:
      IngestError: It is an array, or an object spans several lines.
    """
    with open(copy, "rb") as file:
        first = next((line for line in file if line.strip()), b"").strip()
    if first.startswith(b"["):
        raise IngestError(
            f"{path} is a JSON array, not JSON Lines: write one object a line, "
            "as `jq -c '.[]'` does"
        )
    if first == b"{":
        raise IngestError(
            f"{path}: an object spans several lines: write one object a line, as `jq -c .` does"
        )
