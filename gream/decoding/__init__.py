"""One trie and everything that decodes along it: beam search, exact scores, sampled chains and answers (DESIGN.md)."""
