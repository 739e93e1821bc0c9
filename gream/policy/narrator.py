"""A chain told while it grows: text as soon as it stands, citations as titles."""

from tokenizers.decoders import DecodeStream

from gream.decoding.trie import ROOT
from gream.policy.language import ItemLanguage


class ChainNarrator:
    """Turns the tokens of one chain into pieces of text.

    The pieces joined are what `ItemLanguage.render` makes of the whole chain, or the beginning of it where the length
    limit cut the chain within a citation.
    """

    def __init__(self, language: ItemLanguage) -> None:
        self._language = language
        self._index_ids = frozenset(language.prompter.chain_tokens.index_ids)
        self._stream = DecodeStream(skip_special_tokens=False)
        self._node = ROOT
        self._held = ""
        self._begun = False

    def hear(self, token: int) -> str:
        """What can be told after one more token: nothing within a citation or a character, nor about spaces at an end.

        Args:
            token: the chain's next token id; never its stop token.
        """
        self._held += self._stream.step(self._language.tokenizer.backend_tokenizer, token) or ""
        child = self._language.trie.child(self._node, token) if token in self._index_ids else -1
        complete = child >= 0 and self._language.trie.item_of_node[child] >= 0
        self._node = ROOT if child < 0 or complete else child
        if self._node != ROOT:
            return ""
        text = self._language.render(self._held) if token in self._index_ids else self._held
        if not self._begun:
            text = text.lstrip()
        piece = text.rstrip()
        self._held = text[len(piece) :]
        self._begun = self._begun or bool(piece)
        return piece
