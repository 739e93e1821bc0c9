"""The KFP components, one folder each: thin, typed, with every heavy import inside the body.

A component reads its inputs' folders, calls the stage of the same name in `gream.stages`, and delivers what it made.
"""

import os
from typing import Final

TRAIN_IMAGE: Final = os.environ.get("GREAM_TRAIN_IMAGE", "gream/train:0.1.0")
"""Image of every training stage: `gream[train,pipelines]`, nothing is installed at run time. Read when compiling."""
