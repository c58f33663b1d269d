"""Downloading one file, and checking what came."""

import http.client
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

from tqdm import tqdm

from ..errors import WeightsError

# Seconds that a server may be silent.
_TIMEOUT = 30
_CHUNK = 1 << 20

# urllib's own errors are OSErrors.
_FAILED = (OSError, http.client.HTTPException)


def download(address: str, destination: Path, label: str) -> None:
    """Writes what ``address`` serves to ``destination``; a progress bar says ``label`` where a person watches.

    After an error ``destination`` is not whole.

    Raises:
        WeightsError: the server cannot be reached, has no such file, sends a web page, or fewer bytes than announced.
    """
    try:
        response = _open(address)
    except _FAILED as error:
        raise WeightsError(f"{address} cannot be fetched ({_reason(error)}).") from error
    with response:
        if response.headers.get_content_type() == "text/html":
            raise WeightsError(f"{address} serves a web page in place of weights.")
        announced = int(length) if (length := response.headers["Content-Length"] or "").isdigit() else None
        hidden = not sys.stderr.isatty()
        bar = tqdm(total=announced, desc=label, unit="B", unit_scale=True, unit_divisor=1024, disable=hidden)
        received = 0
        with bar, destination.open("wb") as file:
            for chunk in _chunks(response, address):
                file.write(chunk)
                received += len(chunk)
                bar.update(len(chunk))
    if announced is not None and received != announced:
        raise WeightsError(f"{address}: {received} of {announced} bytes came.")


def fetch_md5(address: str) -> str | None:
    """The md5 in 32 hexadecimal digits that the text at ``address`` starts with; None if it cannot be had."""
    try:
        with _open(address) as response:
            text = response.read(1000)
    except _FAILED:
        return None
    found = re.match(rb"\s*([0-9a-fA-F]{32})\b", text)
    return found[1].decode().lower() if found else None


def is_checkpoint(path: Path) -> bool:
    """Whether a file starts as `torch.save` writes it: a zip archive, or a pickle from before PyTorch 1.6."""
    with path.open("rb") as file:
        return file.read(4).startswith((b"PK\x03\x04", b"\x80"))


def _open(address: str) -> http.client.HTTPResponse:
    request = Request(address, headers={"User-Agent": "bdd100k_d2"})
    response: http.client.HTTPResponse = urlopen(request, timeout=_TIMEOUT)
    return response


def _chunks(response: http.client.HTTPResponse, address: str) -> Iterator[bytes]:
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    except http.client.IncompleteRead as error:
        # From Python 3.12 on; the size is compared afterwards.
        yield error.partial
    except _FAILED as error:
        raise WeightsError(f"{address}: the connection broke ({_reason(error)}).") from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
