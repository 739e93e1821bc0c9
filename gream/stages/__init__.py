"""The stages of a run, one file each: load artifacts, call the library, save an artifact.

`STAGES` is their order in a training run. A retraining goes through most of them too, and through `RETRAINING`. Every
stage takes the folders of its inputs and a `RunContext`, and returns the folder of its output, which
`gream.stages.store` keeps: a stage that is done is not run again.
"""

from typing import Final

STAGES: Final = ("ingest", "enrich", "index", "corpora", "sft", "srpo", "evaluate", "report")
RETRAINING: Final = ("champion", "refresh", "extend", "gate")
"""What only a retraining has."""
EVERY_STAGE: Final = (*STAGES, *RETRAINING)
MAX_SEED: Final = 2**32 - 1
"""What every generator takes that a stage seeds."""
