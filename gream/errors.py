"""The exceptions that a user is meant to read: one sentence with what was wrong, where, and what to do."""


class GreamError(Exception):
    """Base of every error that GREAM raises on purpose. The CLI prints its message without a traceback."""


class DataError(GreamError):
    """The user's tables or files cannot be read as a catalog."""


class ConfigError(GreamError):
    """A profile, override or parameter is not allowed."""


class ArtifactError(GreamError):
    """An artifact on disk is missing, incomplete, or of another kind than the one asked for."""


class EnrichmentError(GreamError):
    """The enrichment endpoint failed for good, or its budget is spent."""


class RequestError(GreamError):
    """A policy cannot answer what it was asked: an unknown item, an empty request, a number out of range."""


class StoreError(GreamError):
    """The S3 store cannot be reached, refuses, or does not hold what was asked for."""
