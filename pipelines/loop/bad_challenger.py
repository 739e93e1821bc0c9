"""A challenger that must not win: the champion's weights with noise, judged by the gate like any other."""

from pathlib import Path
from typing import Final

import torch

from gream.data.fresh import Cut
from gream.policy.bundle import save_policy
from gream.policy.policy import Policy
from gream.promotion.verdict import Verdict
from gream.stages import gate, refresh
from gream.stages.refresh import FreshData
from gream.stages.store import open_run

NOISE: Final = 1.0
"""Of the noise, in standard deviations of each tensor's own values."""


def judge_bad_challenger(
    *, champion: Path, catalog: Path, evidence: Path, workspace: Path, profile: Path, hold_out: tuple[int, int]
) -> tuple[Path, Verdict]:
    """Spoil the champion, and ask the gate about it.

    Args:
        champion: its bundle.
        catalog: the shop's catalog.
        evidence: what serving wrote.
        workspace: of the stages.
        profile: TOML file.
        hold_out: from when until when events are held out, in seconds since 1970 (UTC).

    Returns:
        The challenger's bundle and the verdict.
    """
    bundle, context = workspace.parent / "bad-challenger", open_run(str(profile), (), 0, str(workspace))
    policy = Policy.load(champion)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in policy.model.parameters():
            if weights.dim() > 1:
                weights += NOISE * weights.std() * torch.randn(weights.shape, generator=random)
    # Without the counts that its search is mixed with, which would hide most of it.
    facts = policy.facts.model_copy(update={"prior": None})
    save_policy(bundle, policy.model, policy.tokenizer, policy.index, policy.items, facts)
    fresh, held_out = refresh.run(FreshData(str(catalog), str(evidence), "", Cut(*hold_out)), context)
    judged = gate.run(fresh, held_out, champion.resolve(), bundle, context)
    return bundle, Verdict.load(judged / gate.VERDICT)
