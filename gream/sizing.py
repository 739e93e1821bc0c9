"""How much memory training takes on each GPU, by arithmetic: what is held, times its size, for the trainers of this
repository. Nothing here is measured; what is left out is named, and `RESERVE` stands for it.

Policies are kept in bfloat16 and computed with in bfloat16; what is trained is float32. P parameters, n processes (one
for each GPU), in bytes for each parameter:

    full, whole on each GPU     4 weights, 4 gradients, 8 Adam's two moments, 2 copies, 4 buckets of gradients if n > 1
    full, in pieces (FSDP)      (4 weights, 4 gradients, 8 moments) / n
    LoRA, whole                 2 weights, and 16 for each parameter of an adapter
    LoRA, in pieces             2 / n weights, and 16 / n for each parameter of an adapter

The copies are of weights in bfloat16, which a forward pass makes and keeps to its end. In pieces, the layer that is
computed and the one that is fetched meanwhile are whole (2 bytes a parameter, and 2 for the gradients of one), and so
are the embeddings, which stay.

For each token of a batch, h being the width of the model:

    with checkpointing      2 h for each layer, whose input is kept, and all that one layer computes
    without                 all that every layer computes

What a layer computes and keeps for its gradients, in bfloat16: its input and three more vectors of h (two norms, and
what attention adds), queries and attention's output, keys and values, and four vectors of the feed-forward's width.
Beside float32 weights that are whole, the vectors of h are float32.

Left out: the allocator's fragments, NCCL's buffers, CUDA itself, and what kernels need for a moment.
"""

from dataclasses import dataclass, fields, replace
from typing import Final

from gream.config import SftConfig, SrpoConfig
from gream.decoding.batching import ENGINE_ROWS, ENGINE_TOKENS, gpu_budget

GIB: Final = 2**30
BF16: Final = 2
FLOAT32: Final = 4
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

    def layer_bytes_per_token(self, vector: int = BF16) -> int:
        """What a layer computes for one token and keeps for its gradients; `vector`: of a number in vectors of h."""
        attention = 2 * (self.heads + self.kv_heads) * self.head_dim
        return vector * 4 * self.hidden + BF16 * (attention + 4 * self.intermediate)

    @property
    def cache_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers."""
        return BF16 * 2 * self.layers * self.kv_heads * self.head_dim

    def activation_bytes(self, tokens: int, checkpointing: bool, vector: int = BF16) -> int:
        """Of a batch with so many tokens, padding included; `vector` as for a layer."""
        if not checkpointing:
            return tokens * self.layers * self.layer_bytes_per_token(vector)
        return tokens * (self.layers * vector * self.hidden + self.layer_bytes_per_token(vector))


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU, at the worst moment of training."""

    weights: int = 0
    gradients: int = 0
    moments: int = 0
    gathered: int = 0
    """Weights that are whole for a while, or copied, and buckets of gradients."""
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
        activations=backbone.activation_bytes(tokens, config.gradient_checkpointing, _vector(rank, config.sharding)),
        logits=SFT_LOSS,
    )


def srpo_memory(backbone: Backbone, config: SrpoConfig, prompt_tokens: int, processes: int) -> Memory:
    """What SRPO takes: the largest of a rollout, with its cache, a pass of the reference, and an update, with its
    activations.

    A vLLM keeps its weights and its cache all the while. In pieces the reference is one piece, as TRL cuts it, and each
    pass gathers it whole: twice, as it arrives and as it is laid out.

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
    token = backbone.cache_bytes_per_token
    cache = (ENGINE_TOKENS if vllm else gpu_budget(token)) * token
    rollout = Memory(
        **{**states, "gathered": whole if pieces and not vllm else states["gathered"]},
        reference=reference,
        cache=cache,
        engine=engine + (ENGINE_ROWS * backbone.vocabulary * ENGINE_ROW_BYTES if vllm else 0),
    )
    rows = config.micro_batch or config.mini_batch // processes
    tokens, logits = rows * (prompt_tokens + config.max_chain_tokens), rows * config.max_chain_tokens
    beside = Memory(**states, reference=reference, cache=cache if vllm else 0, engine=engine)
    compared = replace(
        beside,
        reference=reference + (2 * whole if pieces else 0),
        activations=tokens * backbone.layer_bytes_per_token(),
        logits=logits * backbone.vocabulary * BF16,
    )
    update = replace(
        beside,
        activations=backbone.activation_bytes(tokens, config.gradient_checkpointing, _vector(None, config.sharding)),
        logits=logits * backbone.vocabulary * LOSS_BYTES,
    )
    return max(rollout, compared, update, key=lambda memory: memory.total)


def evaluation_memory(backbone: Backbone) -> Memory:
    """What evaluation takes on its one GPU: the policy, and the keys and values of as many tokens as rollouts hold."""
    token = backbone.cache_bytes_per_token
    return Memory(weights=BF16 * backbone.parameters, cache=gpu_budget(token) * token)


def host_memory(backbone: Backbone, method: str) -> int:
    """Bytes of a node's own memory that a process takes while training begins: it reads the whole model, and where all
    of it is trained (`method` as in `sft`) it is float32 there before it is cut."""
    return (BF16 if method == "lora" else FLOAT32) * backbone.parameters


def _vector(rank: int | None, sharding: str) -> int:
    """Bytes of a number in a layer's vectors: of the weights that it meets, and pieces are gathered in bfloat16."""
    return FLOAT32 if rank is None and sharding == "none" else BF16


def _states(backbone: Backbone, rank: int | None, pieces: bool, processes: int) -> dict[str, int]:
    """Weights, gradients and moments, of adapters of a rank or of everything, and what is whole beside the pieces."""
    if rank is None and not pieces:
        whole = FLOAT32 * backbone.parameters
        return {
            "weights": whole,
            "gradients": whole,
            "moments": 2 * whole,
            "gathered": BF16 * backbone.parameters + (whole if processes > 1 else 0),
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
