"""The peer of `benchmarks.serving`: what one writes in an afternoon, a BentoML service around `generate`.

The same weights and the same prompts; answers are kept legal by `prefix_allowed_tokens_fn`, as in GREAM's evaluation
code. Histories come with the request, nothing is filtered, logged, explained or batched.
"""

import os
from collections import defaultdict

import bentoml
import torch

BEAMS = 20


@bentoml.service(name="plain", workers=1)
class Plain:
    def __init__(self) -> None:
        from gream.policy import Policy

        self.policy = Policy.load(os.environ["GREAM_POLICY"])
        self.policy.model.generation_config.max_length = None
        self.children: dict[tuple[int, ...], set[int]] = defaultdict(set)
        for item, tokens in enumerate(self.policy.index.encode(self.policy.items["item_id"].to_list())):
            ids = tuple(self.policy.tokenizer.convert_tokens_to_ids(list(tokens)))
            assert self.policy.trie.token[self.policy.trie.leaf_of_item[item]] == ids[-1]
            for place in range(len(ids)):
                self.children[ids[:place]].add(ids[place])
        self.item_of_ids = {
            tuple(self.policy.tokenizer.convert_tokens_to_ids(list(tokens))): item
            for item, tokens in zip(
                self.policy.items["item_id"].to_list(),
                self.policy.index.encode(self.policy.items["item_id"].to_list()),
                strict=True,
            )
        }

    @bentoml.api
    def recommend(self, history: list[str], k: int) -> list[str]:
        (prompt,) = self.policy.direct_prompts([self.policy.numbers(history)])
        end = self.policy.tokenizer.eos_token_id

        def allowed(_: int, ids: torch.Tensor) -> list[int]:
            return list(self.children.get(tuple(ids[len(prompt) :].tolist()), ())) or [end]

        with torch.inference_mode():
            found = self.policy.model.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                num_beams=BEAMS,
                num_return_sequences=k,
                max_new_tokens=self.policy.trie.depth,
                prefix_allowed_tokens_fn=allowed,
                do_sample=False,
            )
        answers = (tuple(token for token in row[len(prompt) :].tolist() if token != end) for row in found)
        return [self.item_of_ids[ids] for ids in answers]
