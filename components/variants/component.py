"""KFP component `variants`: over what the loop of an experiment goes."""

from kfp.dsl import component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def variants(variants: list[str], seeds: list[int]) -> list[str]:
    """Every variant under every seed.

    Args:
        variants: each "NAME: SECTION.KEY=VALUE ...", the one to compare with first.
        seeds: that each variant is run with.

    Returns:
        "SEED NAME: SECTION.KEY=VALUE ...": KFP loops over texts more surely than over structures.
    """
    from gream.evaluation.variants import parse_variants

    parse_variants(variants, seeds)
    # KFP hands the numbers of a list over as floats.
    return [f"{int(seed)} {variant}" for variant in variants for seed in seeds]
