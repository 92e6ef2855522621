"""Downloads what a list of sources pins by digest: over HTTPS, bounded, resumed where it was cut; nothing runs."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import certifi
import urllib3

from viz_node.domain.pretraining import FetchSources, SourcesFetched
from viz_node.domain.sources import Source
from viz_node.domain.worker import Progress
from viz_node.errors import StorageError, UnreachableError, VerificationError

MAX_SOURCE_BYTES = 2 * 1024**3
_PIECE_BYTES = 1 << 20
_MOST_REDIRECTS = 5
_TRIES = urllib3.Retry(total=4, redirect=0, backoff_factor=1.0, status_forcelist=(429, 500, 502, 503, 504))
_TIMEOUT = urllib3.Timeout(connect=20, read=60)


def fetch_sources(
    order: FetchSources, emit: Callable[[Progress], None], ca_certs: str = certifi.where()
) -> SourcesFetched:
    """Every source with a URL in its file; what is there already is checked and kept.

    Raises: UnreachableError, VerificationError (another file than the list pins), StorageError.
    """
    directory, wanted = Path(order.directory), [source for source in order.sources if source.url]
    size = 0
    with urllib3.PoolManager(ca_certs=ca_certs, cert_reqs="CERT_REQUIRED", timeout=_TIMEOUT) as pool:
        for number, source in enumerate(wanted, 1):
            emit(Progress("fetch", number, len(wanted)))
            try:
                directory.mkdir(parents=True, exist_ok=True)
                size += _fetch(pool, source, directory / source.file_name())
            except OSError as error:
                raise StorageError(f"cannot keep {source.title[:60]}: {error}", "free some disk space") from error
    return SourcesFetched(size)


def _fetch(pool: urllib3.PoolManager, source: Source, target: Path) -> int:
    """The size of the file once it is there whole."""
    if target.exists() and _digest(target) == source.sha256:
        return target.stat().st_size
    partial = target.with_name(f".{target.name}.partial")
    _download(pool, source, partial)
    if _digest(partial) != source.sha256:
        partial.unlink()
        told = f"{source.title[:60]}: {source.url} is another file than the list pins"
        raise VerificationError(told, "check its sha256, or take another revision")
    partial.replace(target)
    return target.stat().st_size


def _download(pool: urllib3.PoolManager, source: Source, partial: Path) -> None:
    """All of it, after what an earlier attempt left. Raises: UnreachableError, VerificationError, OSError."""
    there = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={there}-", "Accept-Encoding": "identity"} if there else {"Accept-Encoding": "identity"}
    try:
        with _open(pool, source.url, headers) as answer:
            if answer.status == 416:  # what is there is all of it, or more
                return
            if answer.status not in (200, 206):
                raise UnreachableError(f"{source.url} answers with status {answer.status}", "check the address")
            with partial.open("ab" if answer.status == 206 else "wb") as file:
                for piece in answer.stream(_PIECE_BYTES):
                    file.write(piece)
                    if file.tell() > MAX_SOURCE_BYTES:
                        raise VerificationError(f"{source.url} is larger than 2 GiB", "split the text")
    except urllib3.exceptions.HTTPError as error:
        cause = " ".join(str(error).split())[:200]
        raise UnreachableError(
            f"cannot download {source.url}: {cause}", "try again; it goes on where it was"
        ) from error


def _open(pool: urllib3.PoolManager, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    """The answer to the address, or to the one that it redirects to, over HTTPS alone. Raises: UnreachableError."""
    asked = url
    for _ in range(_MOST_REDIRECTS):
        answer = pool.request("GET", asked, headers=headers, preload_content=False, redirect=False, retries=_TRIES)
        target = answer.get_redirect_location()
        if not target:
            return answer
        answer.close()
        asked = urljoin(asked, target)
        if not asked.startswith("https://"):
            raise UnreachableError(f"{url} leads to an address without HTTPS", "use another address")
    raise UnreachableError(f"{url} redirects more than {_MOST_REDIRECTS} times", "use another address")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
