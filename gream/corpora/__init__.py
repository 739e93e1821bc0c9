"""Training corpora: alignment tasks, reasoning chains, the curriculum that orders them, and RL prompts."""
