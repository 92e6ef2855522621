"""Sources over real HTTPS: pinned by digest, resumed where they were cut, bounded, never without encryption."""

import datetime
import hashlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from viz_node.domain.names import FilePath
from viz_node.domain.pretraining import FetchSources
from viz_node.domain.sources import Source
from viz_node.errors import UnreachableError, VerificationError
from viz_node.models.pretraining import fetching

BODY = b"It was a dark night. " * 20_000
DIGEST = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        span = self.headers.get("Range", "")
        self.asked.append((self.path, span))
        if self.path in ("/plain", "/file"):
            self.send_response(302)
            self.send_header(
                "Location", {"/plain": "http://127.0.0.1:9/a.txt", "/file": "file:///etc/passwd"}[self.path]
            )
            self.end_headers()
            return
        start = int(span.removeprefix("bytes=").removesuffix("-") or 0)
        if self.path == "/none.txt" or start >= len(BODY):
            self.send_error(404 if self.path == "/none.txt" else 416)
            return
        self.send_response(206 if span else 200)
        self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        self.wfile.write(BODY[start:])

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder, key = tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(encoded)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(autouse=True)
def few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_TRIES", urllib3.Retry(total=0, redirect=0))


@pytest.fixture
def server(certificate: tuple[Path, Path]) -> Iterator[str]:
    Handler.asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def order(url: str, directory: Path, digest: str = DIGEST) -> FetchSources:
    source = Source("Night", ("A. Author",), "CC0-1.0", digest, url=url)
    return FetchSources(sources=(source,), directory=FilePath(str(directory)))


def fetch(order: FetchSources, certificate: tuple[Path, Path]) -> int:
    return fetching.fetch_sources(order, lambda line: None, str(certificate[0])).size_bytes


def test_fetch__whole_cut_and_again__is_there_once(server: str, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    wanted = order(f"{server}/night.txt", tmp_path)
    target = tmp_path / f"{DIGEST}.txt"
    (tmp_path / f".{target.name}.partial").write_bytes(BODY[:1000])
    assert fetch(wanted, certificate) == len(BODY)
    assert target.read_bytes() == BODY
    assert fetch(wanted, certificate) == len(BODY)
    assert Handler.asked == [("/night.txt", "bytes=1000-")]


def test_fetch__cut_after_the_last_byte__is_taken_as_it_is(
    server: str, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / f".{DIGEST}.txt.partial").write_bytes(BODY)
    assert fetch(order(f"{server}/night.txt", tmp_path), certificate) == len(BODY)


def test_fetch__another_file_than_pinned__is_refused_and_removed(
    server: str, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(VerificationError, match="another file than the list pins"):
        fetch(order(f"{server}/night.txt", tmp_path, "0" * 64), certificate)
    assert list(tmp_path.iterdir()) == []


def test_fetch__larger_than_allowed__ends(
    server: str, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MAX_SOURCE_BYTES", 1000)
    with pytest.raises(VerificationError, match="larger than"):
        fetch(order(f"{server}/night.txt", tmp_path), certificate)


@pytest.mark.parametrize(
    ("path", "told"), [("/none.txt", "status 404"), ("/plain", "without HTTPS"), ("/file", "without HTTPS")]
)
def test_fetch__not_there_or_sent_astray__says_so(
    server: str, certificate: tuple[Path, Path], tmp_path: Path, path: str, told: str
) -> None:
    with pytest.raises(UnreachableError, match=told):
        fetch(order(f"{server}{path}", tmp_path), certificate)
    assert not (tmp_path / DIGEST).exists()


def test_fetch__certificate_of_a_stranger__is_refused(server: str, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="certificate"):
        fetching.fetch_sources(order(f"{server}/night.txt", tmp_path), lambda line: None)
