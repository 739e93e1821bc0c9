"""The KFP components, one folder each: thin, typed, with every heavy import inside the body.

A component reads its inputs' folders, calls the stage of the same name in `gream.stages`, and delivers what it made.
Nothing is installed at run time: the images hold everything (`components/Dockerfile`, `components/train.Dockerfile`).
"""

import os
from typing import Final

from kfp.dsl import TaskConfigField, TaskConfigPassthrough

DATA_IMAGE: Final = os.environ.get("GREAM_DATA_IMAGE", "gream/data:0.1.0")
"""Image of the steps that need no accelerator. Read when compiling."""
TRAIN_IMAGE: Final = os.environ.get("GREAM_TRAIN_IMAGE", "gream/train:0.1.0")
"""Image of the steps that run a model. Read when compiling."""

PASSED_TO_NODES: Final = [
    TaskConfigField.RESOURCES,
    TaskConfigField.KUBERNETES_NODE_SELECTOR,
    TaskConfigField.KUBERNETES_TOLERATIONS,
    TaskConfigPassthrough(field=TaskConfigField.ENV, apply_to_task=True),
    TaskConfigPassthrough(field=TaskConfigField.KUBERNETES_VOLUMES, apply_to_task=True),
]
"""What a step that launches nodes gets for them: accelerators and pool are theirs alone, keys and volumes its too."""
