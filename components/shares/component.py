"""KFP component `shares`: over what a loop of shares goes."""

from kfp.dsl import component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def shares(count: int) -> list[int]:
    """Number the shares that a stage is done in.

    Args:
        count: how many there are; at least 1.

    Returns:
        0, 1, ...: KFP loops over lists, not over numbers.
    """
    from gream.share import Share

    return [Share(number, count).number for number in range(max(count, 1))]
