"""Spelling of index tokens: `<|a_1|>` ... `<|d_256|>` for the code levels, `<|e_1|>` ... for the collision ordinal.

The letter `e` is kept for the ordinal whatever the number of levels, so that the paper's 4 + 1 layout is spelled as in
the paper and a token tells by itself whether it is a code or an ordinal. Numbers start at 1.
"""

import re
from typing import Final

CODE_LETTERS: Final = "abcdfghi"
"""One letter for each code level (at most eight)."""
ORDINAL_LETTER: Final = "e"

TOKEN_PATTERN: Final = re.compile(r"<\|([a-i])_([1-9][0-9]*)\|>")


def code_token(level: int, code: int) -> str:
    """Token of `code` (0-based) at `level` (0-based).

    >>> code_token(0, 0), code_token(3, 255)
    ('<|a_1|>', '<|d_256|>')
    """
    return f"<|{CODE_LETTERS[level]}_{code + 1}|>"


def ordinal_token(ordinal: int) -> str:
    """Token of the collision ordinal (1-based) that tells apart items with equal codes.

    >>> ordinal_token(2)
    '<|e_2|>'
    """
    return f"<|{ORDINAL_LETTER}_{ordinal}|>"


def is_ordinal(token: str) -> bool:
    """Whether a token is a collision ordinal.

    >>> is_ordinal('<|e_2|>'), is_ordinal('<|a_2|>')
    (True, False)
    """
    return token.startswith(f"<|{ORDINAL_LETTER}_")


def find_tokens(text: str) -> list[str]:
    """The index tokens that stand in a text, in order.

    >>> find_tokens('first <|a_3|><|b_1|>, then')
    ['<|a_3|>', '<|b_1|>']
    """
    return [match.group(0) for match in TOKEN_PATTERN.finditer(text)]
