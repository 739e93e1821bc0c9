"""The KFP components, one folder each: thin, typed, with every heavy import inside the body.

A component reads its inputs' folders, calls the stage of the same name in `gream.stages`, and delivers what it made.
Nothing is installed at run time: the images hold everything (`components/Dockerfile`, `components/train.Dockerfile`).
"""

import os
from typing import Final

DATA_IMAGE: Final = os.environ.get("GREAM_DATA_IMAGE", "gream/data:0.1.0")
"""Image of the steps that need no accelerator. Read when compiling."""
TRAIN_IMAGE: Final = os.environ.get("GREAM_TRAIN_IMAGE", "gream/train:0.1.0")
"""Image of the steps that run a model. Read when compiling."""
