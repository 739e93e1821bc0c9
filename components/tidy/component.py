"""KFP component `tidy`: what runs last, however a run ended."""

from kfp.dsl import PipelineTaskFinalStatus, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def tidy(status: PipelineTaskFinalStatus, workspace: str, keep_days: int) -> None:
    """Free the workspace, and its mirror where it has one, of what no run has used for long, and of old feedback.

    Args:
        status: how the run ended, from KFP.
        workspace: folder where stages keep their outputs and checkpoints between runs.
        keep_days: days that an unused output, an unfinished attempt or pulled feedback stays.
    """
    from pathlib import Path

    from gream.stages.mirror import Mirror
    from gream.stages.tidy import tidy as tidy_workspace
    from gream.stages.tidy import tidy_mirror

    print(f"The run ended: {status.state}. {status.error_message or ''}")
    removed = tidy_workspace(Path(workspace), keep_days)
    mirror = Mirror.from_environment()
    forgotten = tidy_mirror(mirror, keep_days) if mirror else []
    print(f"Removed what is older than {keep_days} days: {len(removed)} here, and {len(forgotten)} copies.")
    for place in (*removed, *forgotten):
        print(place)
