"""Stage 8: the run as a page for people and numbers for programs."""

from pathlib import Path
from typing import Any, Final

from gream.artifacts import atomic_folder
from gream.evaluation.report import ReportData, render_report
from gream.evaluation.results import Metrics
from gream.evaluation.summary import summary_table
from gream.stages import evaluate
from gream.stages.evaluate import load_examples, training_log
from gream.stages.store import Recipe, RunContext, produce, stage_facts

KIND: Final = "report"
PAGE: Final = "report.html"
METRICS: Final = "metrics.json"
SUMMARY: Final = "summary.txt"
CODE: Final = (
    *("data/catalog.py", "data/split.py", "evaluation", "policy/recommendations.py", "prompts", "stages/evaluate.py"),
    *(f"indexing/{name}.py" for name in ("audit", "collision_limit", "semantic_index", "tokens")),
)


def run(sft_policy: Path, policy: Path, evaluation: Path, context: RunContext) -> Path:
    """The folder of the report: the page, `metrics.json`, and the table for a terminal."""
    recipe = Recipe(
        stage="report",
        kind=KIND,
        settings={},
        seed=context.seed,
        inputs={"sft_policy": sft_policy, "policy": policy, "evaluation": evaluation},
        code=CODE,
    )

    def make(target: Path, _: Path) -> dict[str, Any]:
        measured = Metrics.load(evaluation / evaluate.METRICS)
        metrics = measured.model_copy(update={"seconds": stage_facts(evaluation)["seconds"]})
        page = render_report(
            ReportData(
                metrics=metrics,
                sft_log=training_log(sft_policy),
                srpo_log=training_log(policy),
                examples=load_examples(evaluation),
            )
        )
        with atomic_folder(target, KIND, dataset=metrics.dataset, profile=metrics.profile) as folder:
            metrics.save(folder / METRICS)
            (folder / PAGE).write_text(page, encoding="utf-8")
            (folder / SUMMARY).write_text(summary_table(metrics) + "\n", encoding="utf-8")
        return {}

    return produce(recipe, make, context.workspace)


def headline(report: Path) -> dict[str, float]:
    """The numbers of a report folder by which runs are compared: Recall, NDCG and Pass@K of the policy."""
    metrics = Metrics.load(report / METRICS)
    modes = {"direct": metrics.direct, "reasoning": metrics.reasoning}
    return {f"{mode}_{name}": interval.value for mode, values in modes.items() for name, interval in values.items()}
