"""The policy: its tokenizer and backbone, its prompts, its bundle on disk, and the door that answers requests."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gream.policy.policy import Policy

__all__ = ["Policy"]


def __getattr__(name: str) -> Any:
    """`Policy` on first use: resolving a title, say, must not load torch."""
    if name == "Policy":
        from gream.policy.policy import Policy

        return Policy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
