"""The variants of an experiment: the same run with other settings, under a name."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gream.errors import ConfigError

FORM: Final = '"NAME: SECTION.KEY=VALUE ..."'


@dataclass(frozen=True)
class Variant:
    """Attributes:
    name: in tables.
    overrides: settings by which it differs from the profile, each `section.key=value`.
    """

    name: str
    overrides: tuple[str, ...]


def parse_variant(text: str) -> Variant:
    """Read a variant as people write it; quotes keep spaces inside a value.

    Raises:
        ConfigError: it has no name, or a setting is none.

    >>> parse_variant("plain GRPO: srpo.bonus=false srpo.residual_reward=false")
    Variant(name='plain GRPO', overrides=('srpo.bonus=false', 'srpo.residual_reward=false'))
    """
    name, colon, settings = text.partition(":")
    try:
        overrides = tuple(shlex.split(settings))
    except ValueError as error:
        raise ConfigError(f"variant {text!r} is not allowed: {error}; it must look like {FORM}.") from error
    if not colon or not name.strip() or not all("=" in one for one in overrides):
        raise ConfigError(f"variant {text!r} is not allowed: it must look like {FORM}; without settings, the profile.")
    return Variant(name.strip(), overrides)


def parse_variants(texts: Sequence[str], seeds: Sequence[int]) -> list[Variant]:
    """All variants of an experiment, the reference first.

    Args:
        texts: see `parse_variant`.
        seeds: that each will be run with.

    Raises:
        ConfigError: fewer than two, two of one name, or no seed or the same one twice.
    """
    variants = [parse_variant(text) for text in texts]
    names = [variant.name for variant in variants]
    if len(variants) < 2 or len(set(names)) < len(names):
        raise ConfigError(f"an experiment needs two variants or more, of different names; got {names}.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"an experiment needs one seed or more, all different; got {list(seeds)}.")
    return variants
