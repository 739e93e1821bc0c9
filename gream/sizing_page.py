"""docs/sizing.md: settings for backbones of four sizes, and the memory that each takes on a GPU.

python -m gream.sizing_page > docs/sizing.md
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gream import sizing
from gream.config import Profile
from gream.decoding.batching import ENGINE_ROWS, ENGINE_TOKENS, GPU_CACHE, TOKEN_BUDGET
from gream.profile_files import load_profile
from gream.sizing import Backbone, Memory

PROFILE: Final = "paper"
GPU_GIB: Final = 76
"""Of a GPU of 80 GB, what a process may count on."""
PROMPT_TOKENS: Final = 768
"""Of the longest prompt in reinforcement learning."""

QWEN_4B: Final = Backbone("Qwen/Qwen3-4B-Instruct-2507", 36, 2560, 32, 8, 128, 9728, 151_936, tied=True)
QWEN_8B: Final = Backbone("Qwen/Qwen3-8B", 36, 4096, 32, 8, 128, 12_288, 151_936)
QWEN_14B: Final = Backbone("Qwen/Qwen3-14B", 40, 5120, 40, 8, 128, 17_408, 151_936)
LLAMA_70B: Final = Backbone(
    "meta-llama/Llama-3.3-70B-Instruct", 80, 8192, 64, 8, 128, 28_672, 128_256, head_norms=False
)


@dataclass(frozen=True)
class Setting:
    """A way to train a backbone.

    Attributes:
        backbone: what is trained.
        nodes: that train together, and
        gpus: of each of them.
        overrides: of the profile `paper`, besides the backbone's name.
    """

    backbone: Backbone
    nodes: int
    gpus: int
    overrides: tuple[str, ...]

    @property
    def profile(self) -> Profile:
        """Every setting."""
        return load_profile(PROFILE, [f"model.backbone={self.backbone.name}", *self.overrides])

    @property
    def sft(self) -> Memory:
        """Of supervised fine-tuning."""
        return sizing.sft_memory(self.backbone, self.profile.sft, self.nodes * self.gpus)

    @property
    def srpo(self) -> Memory | None:
        """Of SRPO; None where the setting leaves it out."""
        if not self.profile.srpo.steps:
            return None
        return sizing.srpo_memory(self.backbone, self.profile.srpo, PROMPT_TOKENS, self.nodes * self.gpus)


PIECES: Final = ("sft.sharding=full", "srpo.sharding=full")
SMALL_BATCHES: Final = ("sft.batch_size=4", "sft.gradient_accumulation=8")
NO_SRPO: Final = "srpo.steps=0"
OWN_ROLLOUTS: Final = "srpo.rollouts=transformers"

SETTINGS: Final = (
    Setting(QWEN_4B, 1, 1, ("sft.method=lora", NO_SRPO)),
    Setting(QWEN_4B, 1, 2, (*PIECES, "srpo.micro_batch=2")),
    Setting(QWEN_4B, 1, 8, (*PIECES, "srpo.micro_batch=4")),
    Setting(QWEN_8B, 1, 8, (*PIECES, "srpo.micro_batch=4", OWN_ROLLOUTS)),
    Setting(QWEN_8B, 2, 8, (*PIECES, "srpo.micro_batch=2")),
    Setting(QWEN_14B, 1, 8, ("sft.sharding=full", NO_SRPO)),
    Setting(QWEN_14B, 4, 8, (*PIECES, "srpo.micro_batch=2", OWN_ROLLOUTS)),
    Setting(LLAMA_70B, 1, 8, ("sft.method=lora", "sft.sharding=full", *SMALL_BATCHES, NO_SRPO)),
    Setting(LLAMA_70B, 4, 8, ("sft.sharding=full", *SMALL_BATCHES, NO_SRPO)),
)
WHOLE_70B: Final = sizing.evaluation_memory(LLAMA_70B).total
COLUMNS: Final = (
    *("weights", "gradients", "moments", "gathered", "reference"),
    *("activations", "logits", "cache", "engine", "total"),
)


def page() -> str:
    """The page, in Markdown."""
    told = (sizing.__doc__ or "").strip().split("\n\n")
    return f"""# Sizing

Written by `python -m gream.sizing_page > docs/sizing.md` from [gream/sizing.py](../gream/sizing.py); a test holds the
two together. It is arithmetic: **none of these settings has been run**
([what has](performance.md#on-a-gpu) was smaller). Begin with the smallest and watch `nvidia-smi`.

## Settings

Each line is the profile `{PROFILE}` with what it says, on GPUs of 80 GB ({GPU_GIB} GiB to count on).

{_settings_table()}

The overrides go into the form's field `overrides` as a JSON list. Host memory is what `--memory-gib` gives for each
GPU: every process reads the whole model, and makes it float32 where all of it is trained, before it keeps its piece;
pinned buffers and the data come on top.

Training all of 4B takes two GPUs: float32 weights, gradients and moments nearly fill one. On one, adapters (LoRA) are
fine-tuned; SRPO trains all weights, so it is left out there.

Of 70B, SFT alone: SRPO's rollouts and the evaluation hold the whole policy on one GPU, {_gib(WHOLE_70B)} GiB with its
caches. The step `evaluate` fails there; the policy is in the workspace, and vLLM serves it over several GPUs
([kubernetes.md](kubernetes.md)).

## GiB on each GPU

{_memory_table()}

`gathered` are weights that are whole for a while, or copied, and buckets of gradients; `cache` are keys and values of
rollouts; `engine` is the vLLM that makes them (`srpo.rollouts`, in `{PROFILE}` `vllm`). Each line is the worst moment:
of SRPO either a rollout, with its cache, or a pass of the reference, or an update, with activations and logits. The
total holds a reserve of {_gib(sizing.RESERVE)} GiB.

## How the numbers come about

{_prose(told[1:])}

SRPO adds the reference, 2 bytes for each parameter, and the logits of a micro-batch's completions
({sizing.LOSS_BYTES} bytes each). Where the rest is in pieces, so is the reference, but not layer by layer: while its
pass runs it is whole, twice, as it arrives and as it is laid out. That pass keeps one layer's activations at a time,
and 2 bytes of a logit.

What rollouts take depends on who makes them. The trainer's own model holds {TOKEN_BUDGET:,} tokens of keys and values
(2 x 2 bytes x layers x heads of keys x their width; of models smaller than these more, up to
{GPU_CACHE // 2**30} GiB) and, where it is in pieces, its whole weights meanwhile. A vLLM
holds {ENGINE_TOKENS:,} tokens and the whole weights once more, in updates too, and {sizing.ENGINE_ROW_BYTES} bytes for
each logit of {ENGINE_ROWS} sequences.

## Backbones

{_backbone_table()}

Two more steps take a GPU: `encode-share` (in `{PROFILE}` Qwen3-4B encodes, on one of 24 GB; `index.encoder=minilm`
needs none), and `evaluate`, on one of 80 GB.
"""


def _settings_table() -> str:
    rows = []
    for setting in SETTINGS:
        host = math.ceil(sizing.host_memory(setting.backbone, setting.profile.sft.method) * 1.25 / sizing.GIB / 8) * 8
        flags = f"`--gpus {setting.gpus}{f' --nodes {setting.nodes}' if setting.nodes > 1 else ''}`"
        memory = f"`--memory-gib {host}`" if host > 96 else "as it is"
        overrides = ", ".join(f"`{override}`" for override in setting.overrides)
        rows.append((setting.backbone.name, flags, memory, overrides))
    return _table(("backbone", "compiled with", "host memory", "overrides"), rows)


def _memory_table() -> str:
    rows = []
    for setting in SETTINGS:
        for stage, memory in (("SFT", setting.sft), ("SRPO", setting.srpo)):
            if memory is not None:
                name = f"{setting.backbone.name}, {setting.nodes} x {setting.gpus}, {stage}"
                rows.append((name, *(_gib(getattr(memory, column)) for column in COLUMNS)))
    return _table(("setting", *COLUMNS), rows)


def _backbone_table() -> str:
    backbones = list(dict.fromkeys(setting.backbone for setting in SETTINGS))
    rows = [
        (
            backbone.name,
            f"{backbone.parameters:,}",
            _gib(sizing.BF16 * backbone.parameters),
            f"{backbone.adapter_parameters(32):,}",
            f"{backbone.layers * backbone.layer_bytes_per_token() / 2**20:.1f}",
            f"{backbone.cache_bytes_per_token / 2**10:.0f}",
        )
        for backbone in backbones
    ]
    head = (
        "backbone",
        "parameters",
        "GiB in bfloat16",
        "LoRA, rank 32",
        "MiB a token, all layers",
        "KiB a token, cache",
    )
    return _table(head, rows)


def _prose(paragraphs: Sequence[str]) -> str:
    """Paragraphs of a docstring, its tables as code."""
    blocks = [
        "```\n" + "\n".join(line[4:] for line in text.splitlines()) + "\n```" if text.startswith("    ") else text
        for text in paragraphs
    ]
    return "\n\n".join(blocks)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def _gib(count: float) -> str:
    return f"{count / sizing.GIB:.1f}"


if __name__ == "__main__":
    print(page(), end="")
