"""What a run tells people, and the version that it pushes."""

from __future__ import annotations

from ranklite.components.pusher.component import Pusher
from ranklite.components.run_report.component import RunReport
from ranklite.models.export import TARGETS
from ranklite.pipeline.config.published import published
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.digest import executor_digest
from ranklite.pipeline.history import CHECKPOINT, MODEL, REPORT, History
from ranklite.pipeline.stages.compress import Compressed
from ranklite.pipeline.stages.data import Ingested, Transformed, Validated
from ranklite.pipeline.stages.judge import Exported, Judged
from ranklite.pipeline.stages.repeat import Repeated
from ranklite.pipeline.stages.train import Trained


def report(
    config: RunConfig,
    ingested: Ingested,
    validated: Validated,
    transformed: Transformed,
    trained: Trained,
    compressed: Compressed,
    repeated: Repeated,
    judged: Judged,
) -> RunReport:
    """RunReport."""
    compressions = [
        component.outputs["model_run"]
        for component in compressed.components
        if "model_run" in component.outputs
    ]
    return RunReport(
        ingest_report=ingested.report,
        float_checkpoint=trained.model,
        transform_graph=transformed.graph,
        statistics=ingested.statistics,
        schema=validated.schema,
        anomalies=validated.anomalies,
        stage_report=judged.report,
        **judged.verdicts,
        settings_trials=trained.trials,
        seeds=repeated.seeds,
        trainings=[*trained.curves, *compressions],
        config=published(config),
        features=config.feature_set.model_dump_json(),
        code_digest=executor_digest(RunReport, *config.modules),
    )


def push(
    config: RunConfig,
    transformed: Transformed,
    trained: Trained,
    exported: Exported,
    judged: Judged,
    page: RunReport,
    push_dir: str,
    history: History,
) -> Pusher:
    """Pusher, which keeps the pushed model and its float parent for the runs to come."""
    pusher = Pusher(
        model=exported.shipped,
        further_models=list(exported.further.values()),
        **judged.verdicts,
        stage_report=judged.report,
        page=page.outputs["page"],
        float_checkpoint=trained.model,
        examples=transformed.examples,
        features=config.feature_set.model_dump_json(),
        config=published(config),
        push_destination=push_dir,
        keep=config.push.keep or 0,
        code_digest=executor_digest(
            Pusher, *map(TARGETS.module, config.targets), *config.feature_set.modules
        ),
    )
    kept = {MODEL: "model", REPORT: "stage_report", CHECKPOINT: "float_checkpoint"}
    history.attach(pusher, keeps=kept)
    return pusher
