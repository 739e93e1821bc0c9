"""What every reasoning chain must pass: it never gives its target away, and it cites the history, nothing else."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict

from gream.config import ReasoningStage
from gream.corpora.items import Item
from gream.indexing.tokens import CODE_LETTERS, TOKEN_PATTERN, find_tokens

UNANSWERED = "unanswered"
LEAKS_TITLE = "leaks_title"
LEAKS_INDEX = "leaks_index"
CITES_NOTHING = "cites_nothing"
CITES_OUTSIDE_HISTORY = "cites_outside_history"

_SUFFIX = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])\s*$")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""A letter of a script that sets no spaces between words, or none before what it appends to them: Thai, Lao, Burmese,
Korean (decomposed), Khmer, Japanese and Chinese."""
_TRAILING_ARTICLE = re.compile(r",\s*(?:the|a|an)$", re.IGNORECASE)
_LONGEST_TITLE = 1_000
"""Characters. Beauty's longest title has 841; the forms of one of 24,000 took 20 seconds."""
_SHORT_FORMS = 15
"""Of a title, at most: the shortest ones, which stand at the beginning of the longer ones."""
_FIRST_TOKEN = f"<|{CODE_LETTERS[0]}_"


@dataclass(frozen=True, slots=True)
class Chain:
    """The stages of one chain that are trained on (paper, section 3.2), as text; items stand as their index tokens.

    The fourth stage, the recommendation, is made by the teacher and cut: it names the target. Two more are ours, for
    experiments; a stage that a chain is without is empty.

    Attributes:
        evidence, preferences, intent, relevant: stages 1, 2, 3 and 5.
        conflict: what this user likes beside that, and does not want now.
        counterfactual: what would be left of the preferences without the item that says most.
        strays: citations of items that the history does not have, and that therefore could not be written as an index.
    """

    evidence: str
    preferences: str
    intent: str
    relevant: str
    conflict: str = ""
    counterfactual: str = ""
    strays: int = 0

    @property
    def stages(self) -> dict[ReasoningStage, str]:
        """All texts in their order."""
        return {stage: getattr(self, stage) for stage in get_args(ReasoningStage)}

    def only(self, stages: Collection[ReasoningStage]) -> "Chain":
        """The chain without the stages that are not among these."""
        left_out: dict[str, Any] = {stage: "" for stage in self.stages if stage not in stages}
        return replace(self, **left_out)


class ChainAudit(BaseModel):
    """What became of a teacher's chains."""

    model_config = ConfigDict(extra="forbid")

    made: int = 0
    kept: int = 0
    dropped: dict[str, int] = {}
    """Number of chains dropped, by reason; `unanswered` are those that the teacher did not deliver."""
    mean_citations: float = 0.0
    """History items cited by a kept chain, on average."""

    def words(self) -> str:
        """What became of them, in one line, the commonest fault first.

        >>> ChainAudit(made=9, kept=6, dropped={"unanswered": 1, "leaks_title": 2}).words()
        'of 9 reasoning chains 6 kept; dropped: 2 leaks_title, 1 unanswered'
        """
        faults = sorted(self.dropped.items(), key=lambda fault: -fault[1])
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in faults)
        return f"of {self.made:,} reasoning chains {self.kept:,} kept" + (f"; dropped: {dropped}" if dropped else "")


def chain_fault(chain: Chain, history: Sequence[Item], target: Item) -> str | None:
    """Why a chain must not be trained on, or None.

    A title counts as leaked in the forms of `title_forms`, an index as a whole. Citing the target is allowed where the
    target itself stands in the history: the prompt has told it then.
    """
    cited = citations(" ".join(chain.stages.values()))
    if not cited:
        return CITES_NOTHING
    allowed = {item.tokens for item in history}
    if target.tokens in cited and target.tokens not in allowed:
        return LEAKS_INDEX
    if chain.strays or not allowed.issuperset(cited):
        return CITES_OUTSIDE_HISTORY
    if any(mentions_title(stage, target.full_title) for stage in chain.stages.values()):
        return LEAKS_TITLE
    return None


def citations(text: str) -> list[tuple[str, ...]]:
    """The indices that a text cites, in order: each begins with a token of the first level.

    >>> citations("<|a_1|><|b_2|> and then <|a_3|><|b_1|><|e_2|>")
    [('<|a_1|>', '<|b_2|>'), ('<|a_3|>', '<|b_1|>', '<|e_2|>')]
    """
    cited: list[list[str]] = []
    for token in find_tokens(text):
        if token.startswith(_FIRST_TOKEN) or not cited:
            cited.append([])
        cited[-1].append(token)
    return [tuple(tokens) for tokens in cited]


def mentions_title(text: str, title: str) -> bool:
    """Whether a text names a title in one of its forms, as whole words; anywhere where words are not set apart.

    >>> mentions_title("they want alien, again", "Alien (1979)"), mentions_title("aliens", "Alien (1979)")
    (True, False)
    """
    words = f" {_normalise(TOKEN_PATTERN.sub(' ', text))} "
    return any((form if _UNSPACED.search(form) else f" {form} ") in words for form in title_forms(title))


@lru_cache(maxsize=65_536)
def title_forms(title: str) -> tuple[str, ...]:
    """The normalised spellings under which a title is recognised.

    The whole title always; without its bracketed year or edition, without a trailing article, and without its last
    comma-separated parts (size, colour) only while what is left is telling: two words, four letters, or two where a
    letter is a syllable or a word. A title that a seller has made endless is known by how it begins.

    >>> title_forms("Empire Strikes Back, The (1980)")
    ('empire strikes back the 1980', 'empire strikes back the', 'empire strikes back')
    >>> title_forms("It (2017)")
    ('it 2017',)
    """
    if len(title) > _LONGEST_TITLE:
        head = title[:_LONGEST_TITLE]
        space = head.rfind(" ")
        title = head[:space] if space > _LONGEST_TITLE // 2 else head
    forms = [title]
    bare = title
    while (shorter := _SUFFIX.sub("", bare)) != bare:
        bare = shorter
        forms.append(bare)
    bare = _TRAILING_ARTICLE.sub("", bare)
    forms.append(bare)
    while "," in bare and len(_normalise(bare.rpartition(",")[0]).split()) >= 3:
        bare = bare.rpartition(",")[0]
        forms.append(bare)
    whole, *short = [_normalise(form) for form in forms]
    telling = [form for form in short if " " in form or len(form) >= (2 if _UNSPACED.search(form) else 4)]
    return tuple(dict.fromkeys(form for form in (whole, *telling[-_SHORT_FORMS:]) if form))


def _normalise(text: str) -> str:
    """Lower case, no accents, no punctuation, single spaces."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(re.sub(r"[\W_]+", " ", letters).split())
