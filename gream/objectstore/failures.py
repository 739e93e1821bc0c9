"""What the SDK and the network raise, as one sentence each: what failed, where, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError

from gream.errors import StoreError
from gream.objectstore.settings import CA_BUNDLE, ENDPOINT

WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidTokenId", "ExpiredToken")


@contextmanager
def readable(endpoint: str, place: str) -> Iterator[None]:
    """Turn what goes wrong inside into a `StoreError`.

    Args:
        endpoint: the server, for the message.
        place: `s3://bucket/key` that is worked on, for the message.
    """
    try:
        yield
    except S3Error as error:
        raise StoreError(_refusal(error, endpoint, place)) from error
    except InvalidResponseError as error:
        raise StoreError(f"What answers at {endpoint} is not an S3 server; check {ENDPOINT}.") from error
    except MinioException as error:
        raise StoreError(f"The S3 server at {endpoint} failed on {place}: {error}.") from error
    except HTTPError as error:
        raise StoreError(_silence(error, endpoint)) from error


def _refusal(error: S3Error, endpoint: str, place: str) -> str:
    if error.code in WRONG_KEYS:
        return (
            f"The S3 server at {endpoint} does not accept the keys ({error.code}): check AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or the Secret that stands in for them."
        )
    if error.code == "AccessDenied":
        return (
            f"The S3 server at {endpoint} does not allow the keys this on {place}: reading needs s3:GetObject and "
            "s3:ListBucket, publishing s3:PutObject and s3:DeleteObject too."
        )
    if error.code == "NoSuchBucket":
        bucket = place.split("/")[2]
        return f"The S3 server at {endpoint} has no bucket {bucket!r}: create it, or correct {place}."
    return f"The S3 server at {endpoint} refused {place}: {error.code}, {(error.message or '').rstrip('.')}."


def _silence(error: HTTPError, endpoint: str) -> str:
    cause = error.reason if isinstance(error, MaxRetryError) and error.reason is not None else error
    reason = str(cause).rsplit(": ", 1)[-1].rstrip(".")
    if isinstance(cause, SSLError) and "certificate" in reason.lower():
        return f"The certificate of {endpoint} is not trusted ({reason}): name its authority in {CA_BUNDLE}."
    return f"The S3 server at {endpoint} does not answer ({reason}); check {ENDPOINT} and the server."
