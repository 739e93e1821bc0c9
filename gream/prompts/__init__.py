"""Every prompt and text template of the project, as TOML files in this folder, under one version.

A model is trained on these texts, so they are part of its identity: `PROMPTS_VERSION` is raised with every change that
alters a trained prompt, and a policy bundle records it.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

PROMPTS_VERSION = 1


@cache
def load_prompts(name: str) -> dict[str, Any]:
    """The templates of `gream/prompts/NAME.toml`.

    >>> sorted(load_prompts("policy"))
    ['direct', 'reasoning', 'system']
    """
    return tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"))
