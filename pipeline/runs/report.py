"""The table that a run ends with."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Sequence
from typing import Any

from ranklite.components import artifact_json
from ranklite.components.artifact_json import (
    PAGE_FILE,
    PUSHED_FILE,
    REPORT_FILE,
    SEEDS_FILE,
    TRIALS_FILE,
)
from ranklite.models.compression.file_size import Expected
from ranklite.models.evaluation.score_calibration import ScoreCalibration
from ranklite.models.reporting import baseline_words, gate_words, seed_words, training_words
from ranklite.models.reporting.metric_names import (
    ACCURACY,
    COSTS,
    METRICS,
    measured_files,
    quantization_title,
    slice_title,
    stage_title,
    state_head,
    state_rows,
)
from ranklite.models.reporting.tables import table
from ranklite.pipeline.comparison import recipes
from ranklite.pipeline.local.runner import Outcome
from ranklite.pipeline.runs.logs import newest
from ranklite.pipeline.runs.nodes import current_name
from ranklite.pipeline.runs.store import document

_COLUMNS = (*ACCURACY, *COSTS)


def stages(report: dict[str, Any], best: dict[str, float] | None) -> str:
    """Accuracy, size and speed of every stage, and the best that can be reached where known."""
    rows = [
        [title, *(metric.text(figures.get(metric.name)) for metric in _COLUMNS)]
        for title, figures in measured_files(report).items()
    ]
    if best:
        rows.append(
            ["best reachable", *(metric.text(best.get(metric.name)) for metric in _COLUMNS)]
        )
    return table(["stage", *(metric.title for metric in _COLUMNS)], rows)


def baselines(report: dict[str, Any]) -> str:
    """What simple models reach on the same rows."""
    measured = report.get("baselines")
    if not measured:
        return ""
    return "\n" + table([*baseline_words.HEAD], baseline_words.rows(measured)) + "\n"


def ptq_and_qat(report: dict[str, Any]) -> str:
    """What post-training quantization and QAT reached, and which of them ships."""
    figures = report["validation"]
    ways = [way for way in ("calibrated", "trained") if f"{way}_auc" in figures]
    if len(ways) < 2:
        return ""
    shown = ", ".join(
        f"{quantization_title(way)} AUC {figures[f'{way}_auc']:.4f} / "
        f"log loss {figures[f'{way}_log_loss']:.4f}"
        for way in ways
    )
    return f"validation split: {shown}; ships: {quantization_title(figures['chosen'])}"


def single_scores(report: dict[str, Any]) -> str:
    """How far single predictions moved on the way to the shipped file."""
    moved = "; ".join(
        f"against {stage_title(stage)} {change['max']:.3f}, 99.9 % of them less than "
        f"{change['p999']:.3f}"
        for stage, change in report["evidence"]["score_change"].items()
    )
    others = "".join(
        f"; of {of['title']} against the first file {of['score_change']['max']:.2g}"
        for of in report.get("targets", {}).values()
    )
    return f"largest change of a score: {moved}{others}"


def gates(verdicts: Sequence[dict[str, Any]]) -> str:
    """Every gate with its value, its interval, its bound and its verdict."""
    return table([*gate_words.HEAD], [gate_words.verdict_cells(v) for v in verdicts])


def slices(report: dict[str, Any]) -> str:
    """AUC by slice, float against shipped, and calibration of what ships."""
    rows = [
        [
            slice_title(entry),
            f"{entry['rows']:,}",
            *(METRICS["auc"].text(entry[stage]["auc"]) for stage in ("float", "shipped")),
            METRICS["calibration"].text(entry["shipped"]["calibration"]),
        ]
        for entry in report["slices"]
    ]
    return table(["slice", "rows", "AUC float", "AUC shipped", "calibration"], rows) if rows else ""


def states(report: dict[str, Any]) -> str:
    """The shipped file by how fresh the state of the past is."""
    rows = state_rows(report)
    return table(state_head(), rows) + "\n" if rows else ""


def seeds(report: dict[str, Any], repeated: dict[str, Any]) -> str:
    """What compression costs over several seeds."""
    if not repeated:
        return ""
    shown = table(seed_words.head(report, repeated), seed_words.rows(report, repeated))
    return "\n".join([shown, "", *seed_words.sentences(report, repeated), ""])


def _command() -> str:
    """The command as it can be typed here: `make run` leaves it off the PATH."""
    installed = os.path.join(sysconfig.get_path("scripts"), "ranklite")
    if shutil.which("ranklite") or not os.path.exists(installed):
        return "ranklite"
    return os.path.relpath(installed)


def _origin(outcome: Outcome, ingest: dict[str, Any]) -> str:
    """The spans that were read, and where training started from, where either is to be told."""
    reported = []
    if spans := ingest.get("spans"):
        reported.append(f"spans {spans[0]} to {spans[-1]} ({len(spans)})")
    if earlier := ingest.get("earlier_spans"):
        reported.append(f"their past from span {earlier[0]} on")
    metrics = _float_training(outcome)
    if metrics and outcome.config.training.warm_start:
        warm = metrics.get("warm_started")
        reported.append("warm-started" if warm else "started from scratch")
    return "".join(f"; {one}" for one in reported)


def _float_training(outcome: Outcome) -> dict[str, Any]:
    """What the Trainer measured; empty where it did not run."""
    measured: dict[str, Any] = _float_checkpoint(outcome).get("metrics", {})
    return measured


def _float_checkpoint(outcome: Outcome) -> dict[str, Any]:
    """What the Trainer's checkpoint says of itself; empty where it did not run."""
    trainer = outcome.stages.get("Trainer")
    model = trainer.folder("model") if trainer else None
    return artifact_json.checkpoint(model) if model else {}


def _page(outcome: Outcome) -> str | None:
    """The page of the run, also of one that failed."""
    reporter = outcome.stages.get("RunReport")
    folder = reporter.folder("page") if reporter else None
    page = os.path.join(folder, PAGE_FILE) if folder else None
    stopped = outcome.folders.stopped_page(outcome.run.number)
    if outcome.run.stopped and os.path.isfile(stopped):
        page = stopped
    return os.path.relpath(page) if page else None


def render(outcome: Outcome) -> str:
    """What a run made, for a person: stages, gates, slices, where the model is, what comes next."""
    result, run = outcome.stages, outcome.run
    stopped = [f"{s.node} {s.state}" + (f": {s.error}" if s.error else "") for s in run.stopped]
    page = _page(outcome)
    report = run.document("FileValidator", "report", REPORT_FILE)
    if not report:
        log = os.path.relpath(newest(outcome.folders.logs))
        reported = [f"the last run, {run.title}, did not finish; look at {log}", *stopped]
        return "\n".join(reported + ([f"report       {page}"] if page else []))
    truth = document(outcome.folders.synthetic, "truth.json") if outcome.config.synthetic else {}
    best = truth.get("best", {}).get(report["split"])
    pusher = run.document("Pusher", "pushed_model", PUSHED_FILE)
    repeated = run.document("SeedRepeats", "seeds", SEEDS_FILE)
    ingest = run.document("LogExampleGen", "report", REPORT_FILE)
    verdicts = pusher.get("verdicts", report["verdicts"])
    cached = sum(stage.state == "cached" for stage in result.values())
    title = f"{run.title}, {report['split']} split"
    lines = [
        "",
        f"{title}: {report['rows']:,} rows, {report['positives']:,} positive"
        + _origin(outcome, ingest),
        "",
        stages(report, best),
        baselines(report),
        ptq_and_qat(report),
        single_scores(report),
        f"calibration: {ScoreCalibration.from_dict(report.get('score_calibration')).text()}",
        "",
        gates(verdicts),
        "",
        slices(report),
        "",
        *filter(None, [states(report), seeds(report, repeated)]),
    ]
    checkpoint = _float_checkpoint(outcome)
    trained = checkpoint.get("metrics", {})
    warnings = [*report.get("warnings", ()), *training_words.warnings(trained, ingest)]
    config = outcome.config.model_dump(mode="json")
    if checkpoint:
        warnings += Expected.of(config).of_checkpoint(checkpoint)
    lines += [f"attention    {warning}" for warning in warnings]
    chosen = training_words.chosen(trained, config)
    if trials := run.document("SettingsSearch", "trials", TRIALS_FILE):
        lines += [f"settings     {training_words.searched(trials)}"]
    lines += [f"by the data  {line}" for line in chosen.splitlines()]
    if "BudgetSearch" in result:
        lines += [recipes.render(recipes.load_trials(outcome)), ""]
    if pusher.get("version"):
        version = os.path.relpath(pusher["version"])
        lines += [f"pushed       {version}"]
        task = pusher.get("changed_task")
        if task:
            lines += [f"attention    the last version is of another task: {'; '.join(task)}"]
        changed = pusher.get("changed_inputs")
        if changed:
            compared = any(v["key"].endswith("_from_blessed") for v in verdicts)
            lines += [
                f"attention    its inputs differ from the last version's: {'; '.join(changed)}"
                + ("" if compared else "; the two were not compared on the same rows")
            ]
        lines += [f"score        {_command()} score {version} IN.csv -o OUT.csv"]
    elif pusher:
        lines += [f"not pushed   refused by {', '.join(map(current_name, pusher['refused_by']))}"]
        lines += [f"because      {sentence}" for sentence in gate_words.refusals(verdicts)]
    else:
        lines += [f"not pushed   {'; '.join(stopped) or 'the run was stopped'}"]
    if page:
        lines += [f"report       {page}"]
    runs = os.path.relpath(outcome.folders.runs)
    lines += [f"TensorBoard  {_command()} tensorboard --runs {runs}"]
    lines += [f"log          {os.path.relpath(newest(outcome.folders.logs))}"]
    if "total" in outcome.seconds:
        took = f"time         {outcome.seconds['total']:.0f} s, {cached} of {len(result)} cached"
        if outcome.peaks:
            largest = max(outcome.peaks, key=outcome.peaks.__getitem__)
            took += f"; most memory {outcome.peaks[largest] / 1e9:.1f} GB, {largest}"
        lines += [took]
    return "\n".join(lines)
