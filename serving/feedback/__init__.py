"""Feedback that is never lost: a durable outbox, and a pump that delivers from it."""
