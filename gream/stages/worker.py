"""One of several processes that train together: `torchrun -m gream.stages.worker WORK/job.json`."""

import json
import sys
from pathlib import Path

from gream.artifacts import write_text_atomic
from gream.errors import GreamError
from gream.stages.launch import FAILURE, NOTES, TrainingJob


def main(file: Path) -> None:
    """Do a job that was filed; the first process writes the notes."""
    from torch import distributed

    from gream.training.processes import process_number, wait_for_others

    job = TrainingJob.model_validate_json(file.read_text(encoding="utf-8"))
    try:
        notes = job.do()
    except GreamError as error:
        write_text_atomic(job.work / FAILURE, str(error))
        raise
    if process_number() == 0:
        write_text_atomic(job.work / NOTES, json.dumps(notes) + "\n")
    wait_for_others()
    if distributed.is_initialized():
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
