"""Runs of the retraining pipeline on a KFP server, found by the decision that ordered them."""

from collections.abc import Mapping
from typing import Any

from gream.monitoring.runs import RunOrder, RunState
from pipelines.kfp_server import KfpServer
from pipelines.retraining import PIPELINE_NAME
from pipelines.run_status import SUCCEEDED, RunStatus


class KfpRuns:
    """See `gream.monitoring.runs.Runs`.

    The name of a run is the decision's id, and a run of that name is not started again. KFP has no way to ask for that
    in one step: of two monitors that look at the same moment, both may start one. Let one run at a time (the CronJob's
    `concurrencyPolicy: Forbid` does); if two ran all the same, the champion's compare-and-swap lets one win.
    """

    def __init__(self, server: KfpServer, fixed: Mapping[str, Any]) -> None:
        """Args:
        server: where the pipeline was uploaded.
        fixed: parameters of the pipeline that are the same for every run.
        """
        self._server = server
        self._fixed = dict(fixed)

    def state(self, decision: str) -> RunState:
        """See `Runs.state`.

        Raises:
            KfpError: the server does not answer or refuses.
        """
        run_id = self._server.find_run(decision)
        if run_id is None:
            return "unknown"
        status = RunStatus.of(self._server.run(run_id))
        if not status.ended:
            return "running"
        return "succeeded" if status.state == SUCCEEDED else "failed"

    def start(self, order: RunOrder) -> None:
        """See `Runs.start`.

        Raises:
            KfpError: the server does not answer or refuses, or has no such pipeline.
        """
        if self._server.find_run(order.decision) is None:
            given = {
                "action": order.action,
                "decision": order.decision,
                "until": order.until,
                "hold_out_since": order.hold_out_since,
                "seed": order.seed,
            }
            version = self._server.newest(PIPELINE_NAME)
            self._server.start(version, order.decision, PIPELINE_NAME, {**self._fixed, **given})
