import pytest

from gream.errors import ConfigError
from gream.objectstore.uri import ArtifactUri

pytestmark = pytest.mark.unit

DIGEST = "0f" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://models/movies", ArtifactUri("models", "movies")),
        ("s3://models/shop-1/v_2.a=b/", ArtifactUri("models", "shop-1/v_2.a=b")),
        (f"s3://models/movies@{DIGEST}", ArtifactUri("models", "movies", DIGEST)),
    ],
)
def test_what_is_understood(text, expected):
    assert ArtifactUri.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "models/movies",
        "s3://models",
        "s3://models/",
        "s3://Models/movies",
        "s3://m/movies",
        "s3:///movies",
        "s3://models//movies",
        "s3://models/../movies",
        "s3://models/a b",
        "s3://models/movies?x=1",
        f"s3://models/movies@{DIGEST[1:]}",
        f"s3://models/movies@{DIGEST}\n",
        "s3://key:secret@models/movies",
    ],
)
def test_what_is_refused(text):
    with pytest.raises(ConfigError, match="is no place in an S3 store; allowed is s3://BUCKET/PREFIX"):
        ArtifactUri.parse(text)


def test_a_pinned_version_is_not_written_to():
    with pytest.raises(ConfigError, match="names one version, which never changes"):
        ArtifactUri.parse_unpinned(f"s3://models/movies@{DIGEST}")


def test_a_pinned_uri_reads_back():
    place = ArtifactUri("models", "movies")
    assert ArtifactUri.parse(place.pin(DIGEST)) == ArtifactUri("models", "movies", DIGEST)
