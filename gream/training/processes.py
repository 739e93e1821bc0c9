"""Several processes that train one model: who is who, and a model that they hold in pieces, made whole where needed.

`torchrun` starts the processes and tells each its number in the environment. With `sharding = "none"` each holds the
whole model, and gradients are averaged; with `"full"` each holds a piece of every weight, gradient and optimiser state
(FSDP).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, TypeVar, cast

from torch import Tensor, distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import TrainingArguments

Sharding = Literal["none", "full"]
Arguments = TypeVar("Arguments", bound=TrainingArguments)

PATIENCE_S: Final = 6 * 3600
"""How long a process waits for another: the first one alone copies checkpoints away, and rollouts differ in length."""


def process_number() -> int:
    """Of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def process_count() -> int:
    """Of all processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait_for_others() -> None:
    """Until all processes are here."""
    if distributed.is_initialized():
        distributed.barrier()


def trainer_arguments(sharding: Sharding) -> dict[str, Any]:
    """What a trainer of Transformers is told about its processes."""
    if sharding == "none" or process_count() == 1:
        return {"ddp_timeout": PATIENCE_S}
    # One state for each process in a checkpoint: no process could hold the whole.
    config = {"version": 2, "reshard_after_forward": True, "state_dict_type": "SHARDED_STATE_DICT"}
    return {"ddp_timeout": PATIENCE_S, "fsdp": True, "fsdp_config": config}


def on_one_device(arguments: Arguments) -> Arguments:
    """A trainer's arguments, so that it takes one device, also where this process sees several.

    Transformers would cut each batch up among them (`DataParallel`), and TRL refuses to; several processes are the way
    to use several devices.
    """
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def whole_model(model: Any, plain: Callable[[], Any]) -> Any:
    """The trained model in one piece, in the first process; every process must call this, and the others keep theirs.

    Args:
        model: as the trainer left it.
        plain: makes a model of the same layout, whose weights are then replaced; called where `model` is in pieces.
    """
    if not isinstance(model, FSDPModule):
        return model
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state = get_model_state_dict(cast(nn.Module, model), options=options)
    if process_number() > 0:
        return model
    whole = plain()
    whole.load_state_dict(state)
    return whole


def whole_weights(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Each weight by its name, whole, one after the other; all processes must go through them together.

    Weights that are tied come once.
    """
    for name, weight in model.named_parameters():
        held = weight.detach()
        yield name, held.full_tensor() if isinstance(held, DTensor) else held


@contextmanager
def gathered(model: Any) -> Iterator[None]:
    """The weights whole in every process for a while, so that each may run the model as often as it likes.

    In pieces, every forward pass is a meeting of all processes; rollouts take as many passes as their longest chain has
    tokens, and the process with the shortest one would leave the others waiting.
    """
    shards = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for shard in shards:
        shard.set_reshard_after_forward(False, recurse=False)
        shard.unshard()
    try:
        yield
    finally:
        for shard in shards:
            shard.set_reshard_after_forward(True, recurse=False)
            shard.reshard()
