"""An entry of the record as a few lines for people."""

from gream.artifacts import VERSION_DIGITS
from gream.monitoring.entries import NO_END, Decision, Entry, Freeze, Outcome, Override, Trial, clock


def describe(entry: Entry) -> str:
    """When, who or what, and why: one line, and one more for each reason."""
    return f"{clock(entry.at)}  {_what(entry)}"


def _what(entry: Entry) -> str:
    match entry:
        case Decision():
            window = f"{clock(entry.report.start)} to {clock(entry.report.end)}"
            reasons = "".join(f"\n    {reason}" for reason in entry.reasons)
            return f"{entry.action}, champion {entry.report.policy_version}, window {window}{reasons}"
        case Trial():
            pair = (entry.verdict.challenger, entry.verdict.champion)
            return f"run {entry.decision}: on trial, {' beside '.join(digest[:VERSION_DIGITS] for digest in pair)}"
        case Outcome():
            return f"run {entry.decision}: {entry.result}. {entry.text}".rstrip()
        case Freeze():
            return f"frozen by {entry.by}{_until(entry)}: {entry.reason}"
        case Override():
            return f"{entry.by} orders {entry.action}{_until(entry)}: {entry.reason}"
        case _:
            return f"thawed by {entry.by}"


def _until(order: Freeze | Override) -> str:
    return f" until {clock(order.until)}" if order.until not in (None, NO_END) else ""
