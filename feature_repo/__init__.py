"""Feast definitions: what features exist and where they come from. `feast apply` imports every module in here."""
