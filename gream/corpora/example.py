"""One training example, as text. Tokenisation happens in the policy package, which knows the tokenizer."""

from dataclasses import dataclass

ALIGNMENT_TASKS = ("seqrec", "item2index", "index2item", "fusionseqrec", "itemsearch", "preferenceobtain")
REASONING_TASK = "reasoning"


@dataclass(frozen=True)
class Example:
    """A user turn and the assistant's answer.

    Attributes:
        task: one of `ALIGNMENT_TASKS` or `REASONING_TASK`.
        prompt: the user turn.
        answer: the assistant turn; the loss is taken on it, and on nothing else. For `seqrec` it is a window of a
            sequence of item indices, each predicted from those before it in the window, in one forward pass. Where the
            window is the whole sequence, that is the same objective as one example for each prefix (paper, section
            3.1); where it is not, the items before the window are not seen.
    """

    task: str
    prompt: str
    answer: str
