"""How much memory training takes on each GPU, by arithmetic: what is held, times its size, for the trainers of this
repository. Nothing here is measured; what is left out is named, and `RESERVE` stands for it.

P parameters, n processes (one for each GPU), in bytes for each parameter:

    full, whole on each GPU     2 weights, 2 gradients, 4 Adam's two moments (all bfloat16), 2 buckets of gradients
    full, in pieces (FSDP)      (4 weights, 4 gradients, 8 moments: float32) / n
    LoRA, whole                 2 weights, and 16 for each parameter of an adapter (float32)
    LoRA, in pieces             2 / n weights, and 16 / n for each parameter of an adapter

In pieces, the layer that is computed and the one that is fetched meanwhile are whole (2 bytes a parameter, and 2 for
the gradients of one), and so are the embeddings, which stay.

For each token of a batch, h being the width of the model:

    with checkpointing      2 h for each layer, whose input is kept, and all that one layer computes
    without                 all that every layer computes

What a layer computes and keeps for its gradients, in bfloat16: its input and three more vectors of h (two norms, and
what attention adds), queries and attention's output, keys and values, and four vectors of the feed-forward's width.

Left out: the allocator's fragments, NCCL's buffers, CUDA itself, and what kernels need for a moment.
"""

from dataclasses import dataclass, fields
from typing import Final

from gream.config import SftConfig, SrpoConfig
from gream.decoding.batching import ENGINE_ROWS, ENGINE_TOKENS, TOKEN_BUDGET

GIB: Final = 2**30
BF16: Final = 2
RESERVE: Final = 6 * GIB
"""For what the arithmetic leaves out."""
FETCHED_LAYERS: Final = 2
LOSS_BYTES: Final = 24
"""For each logit of a completion in SRPO: bfloat16 twice, and five float32 tables on the way to log-probabilities,
entropies and their gradients. In SFT, TRL takes the loss in chunks: `SFT_LOSS`."""
SFT_LOSS: Final = GIB
ENGINE_ROW_BYTES: Final = 32
"""For each logit of a sequence that vLLM lets grow: eight float32 tables, of the logits, the grounding and the draw."""


@dataclass(frozen=True)
class Backbone:
    """The sizes of a decoder of the Llama or Qwen family.

    Attributes:
        name: on the Hugging Face hub.
        layers: of the decoder.
        hidden: width h.
        heads: of the queries.
        kv_heads: of keys and values.
        head_dim: of one head.
        intermediate: width of the feed-forward.
        vocabulary: rows of the embedding.
        tied: whether the output shares the embedding.
        head_norms: whether queries and keys have norms of their own (Qwen3).
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied: bool = False
    head_norms: bool = True

    @property
    def layer_parameters(self) -> int:
        """Of one layer: four projections of attention, three of the feed-forward, and the norms."""
        attention = 2 * self.hidden * (self.heads + self.kv_heads) * self.head_dim
        norms = 2 * self.hidden + (2 * self.head_dim if self.head_norms else 0)
        return attention + 3 * self.hidden * self.intermediate + norms

    @property
    def embedding_parameters(self) -> int:
        """Of the embedding, the output and the last norm."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2) + self.hidden

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.layers * self.layer_parameters + self.embedding_parameters

    def adapter_parameters(self, rank: int) -> int:
        """Of LoRA adapters of a rank on every projection: rank x (inputs + outputs) for each."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = 2 * (self.hidden + query) + 2 * (self.hidden + key)
        return self.layers * rank * (attention + 3 * (self.hidden + self.intermediate))

    @property
    def layer_bytes_per_token(self) -> int:
        """What a layer computes for one token and keeps for its gradients."""
        attention = 2 * (self.heads + self.kv_heads) * self.head_dim
        return BF16 * (4 * self.hidden + attention + 4 * self.intermediate)

    @property
    def cache_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers."""
        return BF16 * 2 * self.layers * self.kv_heads * self.head_dim

    def activation_bytes(self, tokens: int, checkpointing: bool) -> int:
        """Of a batch with so many tokens, padding included."""
        if not checkpointing:
            return tokens * self.layers * self.layer_bytes_per_token
        return tokens * (self.layers * BF16 * self.hidden + self.layer_bytes_per_token)


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU, at the worst moment of training."""

    weights: int = 0
    gradients: int = 0
    moments: int = 0
    gathered: int = 0
    """Weights that are whole for a while, and buckets of gradients."""
    reference: int = 0
    """SRPO's KL term: the SFT policy."""
    activations: int = 0
    logits: int = 0
    cache: int = 0
    """Keys and values of rollouts."""
    engine: int = 0
    """Of a vLLM beside the trainer: its own weights, and what it makes of logits."""
    reserve: int = RESERVE

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, field.name) for field in fields(self))


def sft_memory(backbone: Backbone, config: SftConfig, processes: int) -> Memory:
    """What supervised fine-tuning takes, where every example of a batch is as long as is allowed.

    Args:
        backbone: in bfloat16.
        config: method, sharding, batch and checkpointing count.
        processes: that train together.
    """
    tokens = config.batch_size * config.max_tokens
    if config.batch_tokens:
        tokens = max(min(tokens, config.batch_tokens), config.max_tokens)
    rank = config.lora_rank if config.method == "lora" else None
    states = _states(backbone, rank, config.sharding == "full", processes)
    return Memory(
        **states,
        activations=backbone.activation_bytes(tokens, config.gradient_checkpointing),
        logits=SFT_LOSS,
    )


def srpo_memory(backbone: Backbone, config: SrpoConfig, prompt_tokens: int, processes: int) -> Memory:
    """What SRPO takes: the larger of a rollout, with its cache, and an update, with its activations.

    A vLLM keeps its weights and its cache during updates too.

    Args:
        backbone: in bfloat16; all parameters are trained.
        config: sharding, micro-batch, chain length, checkpointing and who makes rollouts count.
        prompt_tokens: of the longest prompt.
        processes: that train together.
    """
    pieces, vllm = config.sharding == "full", config.rollouts == "vllm"
    states = _states(backbone, None, pieces, processes)
    whole = BF16 * backbone.parameters
    reference = whole // (processes if pieces else 1)
    engine = whole if vllm else 0
    cache = (ENGINE_TOKENS if vllm else TOKEN_BUDGET) * backbone.cache_bytes_per_token
    rollout = Memory(
        **{**states, "gathered": whole if pieces and not vllm else states["gathered"]},
        reference=reference,
        cache=cache,
        engine=engine + (ENGINE_ROWS * backbone.vocabulary * ENGINE_ROW_BYTES if vllm else 0),
    )
    rows = config.micro_batch or config.mini_batch // processes
    update = Memory(
        **states,
        reference=reference,
        activations=backbone.activation_bytes(
            rows * (prompt_tokens + config.max_chain_tokens), config.gradient_checkpointing
        ),
        logits=rows * config.max_chain_tokens * backbone.vocabulary * LOSS_BYTES,
        cache=cache if vllm else 0,
        engine=engine,
    )
    return max(rollout, update, key=lambda memory: memory.total)


def evaluation_memory(backbone: Backbone) -> Memory:
    """What evaluation takes on its one GPU: the policy, and the keys and values of as many tokens as rollouts hold."""
    return Memory(weights=BF16 * backbone.parameters, cache=TOKEN_BUDGET * backbone.cache_bytes_per_token)


def host_memory(backbone: Backbone) -> int:
    """Bytes of a node's own memory that a process takes while training begins: it reads the whole model."""
    return BF16 * backbone.parameters


def _states(backbone: Backbone, rank: int | None, pieces: bool, processes: int) -> dict[str, int]:
    """Weights, gradients and moments, of adapters of a rank or of everything, and what is whole beside the pieces."""
    if rank is None and not pieces:
        whole = BF16 * backbone.parameters
        return {
            "weights": whole,
            "gradients": whole,
            "moments": 2 * whole,
            "gathered": whole if processes > 1 else 0,
        }
    frozen = BF16 * backbone.parameters if rank is not None else 0
    trained = backbone.parameters if rank is None else backbone.adapter_parameters(rank)
    share = processes if pieces else 1
    layers = FETCHED_LAYERS + (1 if rank is None else 0)  # And the gradients of one.
    fetched = layers * backbone.layer_parameters + backbone.embedding_parameters
    return {
        "weights": (frozen + 4 * trained) // share,
        "gradients": 4 * trained // share,
        "moments": 8 * trained // share,
        "gathered": BF16 * fetched if pieces else 0,
    }
