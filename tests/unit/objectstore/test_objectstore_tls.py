"""A server whose certificate a private authority has signed."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from background_server import in_background
from objectstore_tiny_s3 import TinyS3

from gream.errors import StoreError
from gream.objectstore.bucket import Bucket

pytestmark = pytest.mark.unit

x509 = pytest.importorskip("cryptography.x509", reason="cryptography makes the certificate of this test")


@pytest.fixture
def certificate(tmp_path):
    """PEM file with a fresh key and its own certificate for 127.0.0.1."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a private authority")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def secure_server(certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    tiny = TinyS3()
    tiny.socket = context.wrap_socket(tiny.socket, server_side=True)
    with in_background(tiny):
        monkeypatch.setenv("GREAM_S3_ENDPOINT", f"https://127.0.0.1:{tiny.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
        monkeypatch.setenv("GREAM_S3_RETRIES", "0")
        yield tiny


def test_its_authority_is_named_in_the_environment(secure_server, certificate, monkeypatch):
    secure_server.objects["/models/key"] = b"content"
    with pytest.raises(
        StoreError, match=r"^The certificate of https://127\.0\.0\.1:\d+ is not trusted .*AWS_CA_BUNDLE"
    ):
        Bucket.from_environment("models").get("key")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    assert Bucket.from_environment("models").get("key").content == b"content"
