"""Index tokens of the toy catalogue: eight items with two codes each, item number 5 being a_2 b_2."""

INDEX = [[f"<|a_{first}|>", f"<|b_{second}|>"] for first in (1, 2) for second in (1, 2, 3, 4)]
