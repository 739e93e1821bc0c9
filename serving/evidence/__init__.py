"""Evidence of answered requests: a journal on this replica's disk, and a copy of all evidence in a store."""
