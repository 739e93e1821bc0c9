"""Shares of a stage: outputs of their own, kept by the store like any other, then put together to the stage's output.

How many shares a run asks for decides how the work is done, not what comes out. So it is no part of the fingerprint of
the whole: a run with shares and one without find each other's outputs.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from gream.errors import ArtifactError
from gream.share import Share
from gream.stages.store import Recipe, stage_facts


def check_shares(shares: Sequence[Path], recipe: Callable[[Share], Recipe]) -> None:
    """Find out whether folders are the shares of one whole, in order, made as they would be made here.

    Args:
        shares: outputs, one for each share.
        recipe: what a share is made by.

    Raises:
        ArtifactError: one is something else: of other inputs, settings or code, in another place, or missing.
    """
    for number, folder in enumerate(shares):
        share = Share(number, len(shares))
        if stage_facts(folder)["fingerprint"] != recipe(share).fingerprint():
            raise ArtifactError(f"{folder} is not {share} of what is to be put together here.")
