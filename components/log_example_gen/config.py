"""The part of a configuration that says where the log is and how it becomes examples."""

from __future__ import annotations

import pathlib
from typing import Literal

from pydantic import Field, model_validator

from ranklite.components.log_example_gen import spans
from ranklite.components.log_example_gen.file_names import FilesBySpan, add, no_files, of_glob
from ranklite.components.log_example_gen.log_table import EARLIER
from ranklite.components.log_example_gen.source import LOGS, SourceConfig
from ranklite.components.log_example_gen.split_config import (
    FileSplit,
    HashSplit,
    SplitConfig,
    TimeSplit,
)
from ranklite.models.config import Column, Strict
from ranklite.models.features.feature_set import FeatureSet

FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
NEWEST = ""  # in place of a span, where a property has to be a string


class NegativesConfig(Strict):
    """Sampled negatives, for a log of positives only (purchases, plays).

    A log with a label may have them too, where its negatives were sampled: then `redraw: epoch`
    gives them other items in each epoch, and the rest of what is here does not apply.

    Attributes:
      per_positive: How many for each positive.
      redraw: `never`, or each `epoch` of training: other items in the same contexts.
      by: Items drawn `uniform`ly or by `popularity`.
      item_columns: Columns that belong to the item and change with it; all others (user, context)
        are those of the positive.
    """

    per_positive: int = Field(4, ge=1, le=1000)
    by: Literal["uniform", "popularity"] = "uniform"
    item_columns: tuple[Column, ...] = ()
    redraw: Literal["never", "epoch"] = "never"


class IngestConfig(Strict):
    """All that LogExampleGen has to know.

    Attributes:
      source: Where the log is.
      label: Column of 0 and 1, or an SQL expression that is true for a positive; None where
        negatives are sampled.
      timestamp: Column of the time: numbers since 1970, ISO 8601 text, a date or timestamp.
      timestamp_format: How it is written otherwise: `seconds`, `milliseconds`, `microseconds` or
        `nanoseconds` since 1970, of any year, or forms as of strptime, such as `%d/%m/%Y %H:%M`.
      split: How rows are divided.
      negatives: How negatives are sampled, for a log of positives only.
      features: The columns.
      item_label: Column that names an item for a person, such as a title.
      seed: Of hashing and sampling.
      span: The newest span to read; None takes the newest there is.
    """

    source: SourceConfig
    label: str | None = None
    timestamp: Column | None = None
    timestamp_format: str | tuple[str, ...] = ()
    split: SplitConfig
    negatives: NegativesConfig | None = None
    features: FeatureSet
    item_label: Column | None = None
    seed: int = 42
    span: str | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> IngestConfig:
        kinds = {spans.placeholders(pattern) for _, _, pattern in self.all_globs()}
        if len(kinds - {frozenset()}) > 1:
            raise ValueError("name the span of every file alike: by its date or by its number")
        if self.source.window and not self.has_spans:
            raise ValueError(
                "source.window counts spans, but no file name has a place for one, such as "
                "'clicks-{YYYY}-{MM}-{DD}.csv'"
            )
        if self.label is None and self.negatives is None:
            raise ValueError("give a `label`, or `negatives` for a log of positives only")
        if self.label is not None and self.negatives and self.negatives.redraw == "never":
            raise ValueError(
                "give a `label`, or `negatives` for a log of positives only; both only with "
                "`redraw: epoch`, where the log's own negatives were sampled"
            )
        if self.label is not None:
            bare = self.label.strip()
            if bare.startswith('"') and bare.endswith('"'):
                bare = bare[1:-1].replace('""', '"')
            if bare in {column.source for column in self.features.logged_columns}:
                raise ValueError(
                    f"the column {bare!r} is the label, and a feature reads it: the model would "
                    "read the answer"
                )
        if self.item_label and not self.features.item:
            raise ValueError("`item_label` names items: give the key `item` too")
        if self.negatives and not (self.features.user and self.features.item):
            raise ValueError("sampled negatives need the keys `user` and `item`")
        self._check_past()
        if self.split.by == "time" and self.timestamp is None:
            raise ValueError("a split by time needs the key `timestamp`")
        if self.split.by == "files" and self.source.files is not None:
            raise ValueError("a split by files names the files itself: leave source.files out")
        if self.split.by == "files" and self.source.query is not None:
            self._query_reads_logs(self.source.query)
        if self.split.by != "files" and not self.source.globs():
            raise ValueError("source needs `files` or `tables`")
        if isinstance(self.split, (TimeSplit, HashSplit)):
            held_out = self.split.eval + (self.split.test or 0.0)
            if held_out >= 1.0:
                raise ValueError(
                    f"eval and test hold {held_out:g} of the rows: leave some to train"
                )
        return self

    def _check_past(self) -> None:
        """Raises ValueError where what comes before a row is not known."""
        of_past = [column.past.feature for column in self.features.past_columns if column.past]
        if not of_past:
            if self.source.past_window is not None:
                raise ValueError("source.past_window: no feature is computed from earlier rows")
            return
        if self.timestamp is None:
            raise ValueError(
                f"feature {of_past[0]!r} is computed from earlier rows: name the column of the "
                "time in the key `timestamp`"
            )
        if self.split.by == "hash":
            raise ValueError(
                f"feature {of_past[0]!r} is computed from earlier rows, and with a split by hash "
                "rows of the train split come after those that are judged: it would show their "
                "future. Take split: {by: time}"
            )

    def _query_reads_logs(self, query: str) -> None:
        from ranklite.components.log_example_gen.query import tables_of

        if LOGS in (self.source.tables or {}):
            raise ValueError(
                f"source.tables: with a split by files, {LOGS!r} is the table of each split's "
                "files: give the other table another name"
            )
        if LOGS not in {table.lower() for table in tables_of(query)}:
            raise ValueError(
                f"source.query: with a split by files, the table {LOGS!r} has the files of the "
                "split: a query that does not read it gives every split the same rows"
            )

    @property
    def timestamp_formats(self) -> tuple[str, ...]:
        """The forms of times, none where the log shows them."""
        given = self.timestamp_format
        return (given,) if isinstance(given, str) else given

    @property
    def sampled_negatives(self) -> NegativesConfig | None:
        """How to sample negatives, or None where the log has its own."""
        return self.negatives if self.label is None else None

    @property
    def draws(self) -> bool:
        """Whether anything is drawn by the seed: a hash, or sampled negatives."""
        return isinstance(self.split, HashSplit) or self.sampled_negatives is not None

    @property
    def split_names(self) -> tuple[str, ...]:
        """`train`, `eval` and, where there is one, `test`."""
        return ("train", "eval", "test") if self.split.test is not None else ("train", "eval")

    @property
    def has_spans(self) -> bool:
        """Whether file names say which span they belong to."""
        return any(spans.placeholders(pattern) for _, _, pattern in self.all_globs())

    def at(self, span: str) -> IngestConfig:
        """The same configuration for a span, or for the newest."""
        return self.model_copy(update={"span": None if span == NEWEST else span})

    def all_globs(self) -> list[tuple[str, str, str]]:
        """(split or "", table, glob) of every glob of the configuration."""
        result = [("", name, glob) for name, globs in self.source.globs().items() for glob in globs]
        if isinstance(self.split, FileSplit):
            result += [(s, LOGS, getattr(self.split, s)) for s in self.split_names]
        return result

    def matching_files(self, data_root: str) -> dict[tuple[str, str], list[str]]:
        """Files of each (split or "", table), in order of name, of the spans that are read.

        Files of spans before the window, where features are computed from earlier rows, are those
        of the split `EARLIER`; a table without spans has none there.

        Raises:
          FileNotFoundError: A glob matches nothing, or there are no files of the span asked for.
          ValueError: A file lies outside the data folder, or is in two splits.
        """
        if self.span is not None and not self.has_spans:
            raise ValueError(
                f"span {self.span}: no file name of the configuration has a place for one, such as "
                "'clicks-{YYYY}-{MM}-{DD}.csv'"
            )
        by_glob, earlier, wanted = self._by_glob(data_root)
        matched: dict[tuple[str, str], list[str]] = {}
        for (split, table, pattern), files in by_glob.items():
            if not add(matched, (split, table), files, (None, *wanted)):
                raise no_files(pattern, wanted, files)
        for (_, table, _), files in by_glob.items() if earlier else ():
            if None not in files:
                add(matched, (EARLIER, table), files, earlier)
        for (_, table, pattern), files in by_glob.items() if earlier else ():
            if None not in files and not matched[EARLIER, table]:
                raise no_files(pattern, earlier, files)
        self._no_file_twice(matched)
        return matched

    def _no_file_twice(self, matched: dict[tuple[str, str], list[str]]) -> None:
        """What is trained on and what is judged are different files."""
        split_of: dict[str, str] = {}
        for (split, _), paths in matched.items():
            for path in paths if split not in ("", EARLIER) else ():
                if split_of.setdefault(path, split) != split:
                    raise ValueError(f"{path} is in the splits {split_of[path]} and {split}")

    def spans_read(self, data_root: str) -> list[str]:
        """The spans of the window, the oldest first; none where file names have none."""
        _, _, wanted = self._by_glob(data_root)
        return wanted

    def newest_span(self, data_root: str) -> tuple[str, dict[str, list[str]]] | None:
        """The newest span and its files by table; None where file names have no spans."""
        by_glob, _, wanted = self._by_glob(data_root)
        if not wanted:
            return None
        tables: dict[str, list[str]] = {}
        for (_, table, _), files in by_glob.items():
            if None not in files:
                tables.setdefault(table, []).extend(map(str, sorted(files.get(wanted[-1], []))))
        return wanted[-1], {table: sorted(set(paths)) for table, paths in tables.items() if paths}

    def earlier_spans(self, data_root: str) -> list[str]:
        """The spans that are read as the past of the window alone, the oldest first."""
        _, earlier, _ = self._by_glob(data_root)
        return earlier

    def _by_glob(
        self, data_root: str
    ) -> tuple[dict[tuple[str, str, str], FilesBySpan], list[str], list[str]]:
        """Files of each of `all_globs` by span, the spans before the window, and those in it."""
        root = pathlib.Path(data_root).resolve()
        by_glob = {key: of_glob(key[2], root, data_root) for key in dict.fromkeys(self.all_globs())}
        result = {span for files in by_glob.values() for span in files if span}
        earlier, wanted = spans.chosen(
            result, self.span, self.source.window, self.source.past_window
        )
        return by_glob, earlier if self.features.past_columns else [], wanted

    def file_format(self, path: str, table: str = LOGS) -> str:
        """The format of a file of a table: the configured one, or by its name.

        Raises:
          ValueError: The name does not tell.
        """
        configured = self.source.table(table).format
        if configured:
            return configured
        suffixes = [suffix.lower() for suffix in pathlib.PurePath(path).suffixes]
        suffixes = [suffix for suffix in suffixes if suffix not in (".gz", ".zst", ".bz2")]
        suffix = suffixes[-1] if suffixes else ""
        if suffix in (".parquet", ".pq"):
            return "parquet"
        if suffix not in FORMATS:
            raise ValueError(
                f"{path}: its name does not tell its format; set source.format to csv, jsonl or "
                "parquet"
            )
        return FORMATS[suffix]
