"""Files as DuckDB scans them: the columns of each, as text or in the types that a file declares."""

from __future__ import annotations

import csv
import dataclasses
import glob
import itertools
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from ranklite.components.log_example_gen import IngestError, long_lines
from ranklite.components.log_example_gen.json_lines import IS_OBJECT, check_first_line
from ranklite.components.log_example_gen.log_table import NONE, WRONG
from ranklite.components.log_example_gen.piece import Piece, copied
from ranklite.components.log_example_gen.plain_files import plain
from ranklite.components.log_example_gen.quoted_blanks import with_blanks
from ranklite.components.log_example_gen.source import CsvConfig, TableConfig
from ranklite.models.features.sql import name, quoted, twins
from ranklite.models.features.sql_values import JSON, problem
from ranklite.models.repeats import twice
from ranklite.models.safe_arrow import safe_parquet
from ranklite.models.serving.csv_format import CsvFormat, header_of

_ROW_BYTES = 4096  # that a row may take on average where only the first ones are read
_OF_JSON = {JSON: "VARCHAR", f"{JSON}[]": "VARCHAR[]"}
_DIGITS = 38  # of DuckDB's decimals
_NEVER, _NULL = "\x01", "\x02"  # no line of JSON has them


@dataclasses.dataclass(frozen=True)
class Scan:
    """A file, or the result of a query.

    Attributes:
      path: Of the file; "" for the result of a query.
      plain: What is read in its place: the file itself, or a plain copy.
      sql: A SELECT of all columns and, for JSON Lines, of `WRONG`.
      types: DuckDB's type of each column; JSON for values of JSON Lines.
      kind: `csv`, `jsonl`, `parquet`, or `query`.
      form: How a CSV file is written, its delimiter included.
      columns: Of a CSV file, in its order.
      after: How many rows of the log come before its own; None where the log has none of it, as of
        a file that a query reads.
      piece: What is read of the file, where that is not all of it.
    """

    path: str
    plain: str
    sql: str
    types: dict[str, str]
    kind: str = "query"
    form: CsvFormat | None = None
    columns: tuple[str, ...] = ()
    after: int | None = None
    piece: Piece | None = None

    @property
    def before(self) -> int:
        """How many lines of the file, or rows of a Parquet file, come before what is read."""
        return self.piece.before if self.piece is not None else 0

    def with_columns(self, needed: Sequence[str]) -> Scan:
        """The same with missing values in the columns that it lacks."""
        more = [column for column in needed if column not in self.types]
        if not more:
            return self
        nulls = ", ".join(f"NULL::VARCHAR AS {name(column)}" for column in more)
        return dataclasses.replace(
            self,
            sql=f"SELECT *, {nulls} FROM ({self.sql})",
            types={**self.types, **dict.fromkeys(more, "VARCHAR")},
        )

    @property
    def wrong(self) -> str | None:
        """The column that says what is wrong with a line, where there is one."""
        return WRONG if JSON in self.types.values() else None


def scan(
    con: duckdb.DuckDBPyConnection,
    path: str,
    kind: str,
    table: TableConfig,
    work_dir: str,
    wanted: Sequence[str] | None,
    first: int | None = None,
    piece: Piece | None = None,
) -> Scan:
    """A file as it can be read.

    Args:
      con: A connection that may read the file and the folder.
      path: The file.
      kind: `csv`, `jsonl` or `parquet`.
      table: How the table's files are written, all said.
      work_dir: Folder for a plain copy.
      wanted: Columns that are needed; None for all.
      first: Only so many rows; None reads all.
      piece: Only this one of the file; None reads all.

    Raises:
      IngestError: It is empty, damaged, of another encoding, or its header names a column twice.
    """
    if kind == "parquet":
        whole = _parquet(con, path, wanted, piece)
    else:
        most = None if first is None else first * _ROW_BYTES
        if piece is None:
            copy = plain(path, table.encoding or "utf-8", work_dir, most)
        else:
            copy = copied(piece, work_dir)
        is_begun = piece is not None and piece.before > 0
        if kind == "jsonl":
            if not is_begun:
                check_first_line(path, copy)
            whole = _jsonl(con, path, copy, wanted)
        else:
            assert table.csv is not None
            own = piece.csv if piece is not None and is_begun else {}
            settings = table.csv.model_copy(update=own)
            whole = _csv(path, copy, settings, wanted, work_dir, most)
    whole = dataclasses.replace(whole, piece=piece)
    if first is None:
        return whole
    return dataclasses.replace(whole, sql=f"SELECT * FROM ({whole.sql}) LIMIT {first}")


def reason_of(error: duckdb.Error) -> str:
    """What DuckDB says, without its options and its advice about them."""
    if "state machine" in str(error):
        return (
            "its lines do not end alike, by \\n or \\r\\n, or a lone \\r stands outside of quotes: "
            "write one of them"
        )
    kept = itertools.takewhile(
        lambda line: not line.startswith(("Possible", "  file =")), str(error).splitlines()
    )
    return "\n".join(kept).strip()


def csv_format(settings: CsvConfig) -> CsvFormat:
    """The same settings, as a scorer takes them."""
    return CsvFormat(
        settings.delimiter, settings.quote, settings.escape, settings.null, settings.columns
    )


def _renamed(path: str, columns: Sequence[str], wanted: Sequence[str] | None) -> str:
    """SQL that gives the columns c0, c1 ... of a file their names, as far as they are wanted.

    DuckDB takes names that differ in letter case for one, and would give the first column for both.
    """
    of_use = set(columns if wanted is None else wanted)
    kept = [column for column in columns if column in of_use]
    if same := twins(kept):
        raise IngestError(
            f"{path}: the columns {', '.join(map(repr, same))} differ in letter case only, which "
            "SQL does not tell apart: rename them in the log"
        )
    numbers = {column: number for number, column in enumerate(columns)}
    return ", ".join(f"c{numbers[c]} AS {name(c)}" for c in kept) or f"c0 AS {NONE}"


def _csv(
    path: str,
    copy: str,
    settings: CsvConfig,
    wanted: Sequence[str] | None,
    work_dir: str,
    most: int | None,
) -> Scan:
    form = csv_format(settings)
    try:
        blank, delimiter, columns = header_of(copy, form)
    except (ValueError, csv.Error) as error:
        raise IngestError(f"{path}: {error}") from error
    copy = with_blanks(copy, form, delimiter, work_dir, most)
    own = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(columns)))
    options = {
        "auto_detect": "false",
        "columns": "{" + own + "}",
        "header": str(settings.header).lower(),
        "skip": str(blank),
        "delim": quoted(delimiter),
        "quote": quoted(settings.quote),
        "escape": quoted(settings.escape if settings.quote else ""),
        "nullstr": "[" + ", ".join(map(quoted, dict.fromkeys((*settings.null, "")))) + "]",
    }
    return Scan(
        path,
        copy,
        f"SELECT {_renamed(path, columns, wanted)} FROM {_read_csv(path, copy, options)}",
        dict.fromkeys(columns, "VARCHAR"),
        "csv",
        dataclasses.replace(form, delimiter=delimiter),
        tuple(columns),
    )


def _jsonl(
    con: duckdb.DuckDBPyConnection, path: str, copy: str, wanted: Sequence[str] | None
) -> Scan:
    options = {
        "auto_detect": "false",
        "columns": "{'line': 'VARCHAR'}",
        "header": "false",
        "strict_mode": "false",  # lines may end by \n and \r\n
        "delim": quoted(_NEVER),
        "quote": "''",
        "escape": "''",
        "nullstr": quoted(_NULL),
    }
    lines = _read_csv(path, copy, options)
    if wanted is None:
        seen = con.execute(
            f"SELECT DISTINCT unnest(json_keys(line)) AS key FROM {lines} WHERE {IS_OBJECT}"
        ).fetchall()
        wanted = sorted(key for (key,) in seen)
    _renamed(path, wanted, None)
    keys = [c.replace("~", "~0").replace("/", "~1") for c in wanted]  # of JSON Pointers
    paths = "[" + ", ".join(quoted(f"/{key}") for key in keys) + "]"
    values = ", ".join(f"row[{n}] AS {name(column)}" for n, column in enumerate(wanted, 1))
    found = f"CASE WHEN {IS_OBJECT} THEN json_extract(line, {paths}) END"
    reason = f"CASE WHEN row IS NULL THEN {problem('', 'not a JSON object', 'line')} ELSE '' END"
    return Scan(
        path,
        copy,
        f"SELECT {values}{', ' if wanted else ''}{reason} AS {WRONG} FROM "
        f"(SELECT line, {found} AS row FROM {lines} WHERE trim(line) != '')",
        dict.fromkeys(wanted, JSON),
        "jsonl",
    )


def _parquet(
    con: duckdb.DuckDBPyConnection, path: str, wanted: Sequence[str] | None, piece: Piece | None
) -> Scan:
    # `[` in a name would begin a class of characters.
    source = (
        f"read_parquet({quoted(glob.escape(path))}, binary_as_string = true, "
        "hive_partitioning = false)"
    )
    try:
        described = con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        schema = safe_parquet().read_schema(path)
    except (duckdb.Error, pa.ArrowException, RuntimeError) as error:
        raise IngestError(f"{path}: not readable as Parquet: {error}") from error
    columns = schema.names
    if same := twice(columns):
        raise IngestError(f"{path} has {', '.join(same)} twice")
    types = dict(zip(columns, (row[1] for row in described), strict=True))
    read = columns if wanted is None else [c for c in columns if c in wanted]
    for column in read:
        if _is_wide(schema.field(column).type):  # DuckDB would give another number
            raise IngestError(
                f"{path}: {column!r} is a decimal of more than {_DIGITS} digits: write it as "
                f"text, or as one of {_DIGITS}"
            )
    own = ", ".join(f"c{number}" for number in range(len(columns)))
    sql = f"SELECT {_renamed(path, columns, wanted)} FROM {source} AS file({own})"
    if piece is not None:  # of the row groups that it has no row of, DuckDB reads nothing
        numbered = f"{source[:-1]}, file_row_number = true)"
        sql = (
            f"SELECT {_renamed(path, columns, wanted)} FROM {numbered} AS file({own}, row) "
            f"WHERE row >= {piece.start} AND row < {piece.end}"
        )
    # What says that its texts are JSON is text, as for a scorer; a query can take it apart.
    texts = {c: _OF_JSON[kind] for c, kind in types.items() if kind in _OF_JSON}
    casts = [f"{name(c)}::{kind} AS {name(c)}" for c, kind in texts.items() if c in read]
    if casts:
        sql = f"SELECT * REPLACE ({', '.join(casts)}) FROM ({sql})"
    return Scan(path, path, sql, types | texts, "parquet")


def _is_wide(kind: pa.DataType) -> bool:
    """Whether a type, or that of a list's values, is a decimal that DuckDB has no type for."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_wide(kind.value_type)
    return pa.types.is_decimal(kind) and kind.precision > _DIGITS


def _read_csv(path: str, copy: str, options: dict[str, str]) -> str:
    quote, escape = (options[key][1:-1].replace("''", "'") for key in ("quote", "escape"))
    options |= {
        "store_rejects": "true",
        "rejects_limit": "0",
        "max_line_size": str(long_lines.LONGEST_LINE),
        "buffer_size": str(long_lines.buffer_size(copy, path, quote, escape)),
        "hive_partitioning": "false",
        "compression": "'none'",
    }
    arguments = ", ".join(f"{key} = {value}" for key, value in options.items())
    return f"read_csv({quoted(glob.escape(copy))}, {arguments})"
