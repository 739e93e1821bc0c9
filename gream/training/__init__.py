"""Supervised fine-tuning with the curriculum, and SRPO (paper, sections 3.2 and 3.3)."""
