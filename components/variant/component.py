"""KFP component `variant`: one turn of an experiment's loop, as the parameters of its steps."""

from typing import NamedTuple

from kfp.dsl import component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def variant(
    text: str,
    overrides: list[str],
) -> NamedTuple("Run", [("name", str), ("overrides", list[str]), ("own", list[str]), ("seed", int)]):  # type: ignore[valid-type]
    """Read what a run of the experiment differs by.

    Args:
        text: from `variants`.
        overrides: settings that all variants share.

    Returns:
        The variant's name, all settings of its run, its own ones among them, and the seed.
    """
    from gream.evaluation.variants import parse_variant

    seed, _, described = text.partition(" ")
    chosen = parse_variant(described)
    return (chosen.name, [*overrides, *chosen.overrides], list(chosen.overrides), int(seed))
