"""Fetching MNIST and Fashion-MNIST where there is a network; every file is checked before it is kept."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tilewright.atomic_write import write_atomically
from tilewright.data.idx import DataError

LARGEST_FILE = 64 * 2**20
TIMEOUT = 30

# SHA-256 of the files as they were first published.
_SETS: dict[str, tuple[str, dict[str, str]]] = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
}


def downloadable_names() -> list[str]:
    """Sets that :func:`download_images` knows."""
    return list(_SETS)


def download_images(
    name: str, folder: str | Path, report: Callable[[str], None] = lambda text: None, address: str = ""
) -> Path:
    """Fetch the four idx files of a set into ``folder``; files already there and whole are kept.

    Args:
        name: ``mnist`` or ``fashion-mnist``.
        folder: where the files go; made when it does not exist. It is what data set ``idx`` is then given.
        report: called with a line for each file.
        address: fetch from below this address instead of the published one.

    Raises:
        DataError: unknown name, no network, or a file that is not the published one.
    """
    if name not in _SETS:
        raise DataError(f"unknown data set {name!r}; {', '.join(_SETS)} can be downloaded")
    base, files = _SETS[name]
    folder = Path(folder).expanduser()
    for file, expected in files.items():
        target = folder / file
        if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == expected:
            report(f"{file} is there already")
            continue
        report(f"fetching {file}")
        data = _fetch((address or base) + file)
        if hashlib.sha256(data).hexdigest() != expected:
            raise DataError(f"{file} from {address or base} is not the published file (its checksum differs); not kept")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(target, data)
        except OSError as error:
            raise DataError(f"{target} cannot be written: {error.strerror}") from None
    return folder


def _fetch(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
            data: bytes = answer.read(LARGEST_FILE + 1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"{address} cannot be reached: {reason}; copy the four idx files into a folder by hand and name that folder"
        ) from None
    if len(data) > LARGEST_FILE:
        raise DataError(f"{address} is larger than {LARGEST_FILE // 2**20} MiB; it is not the published file")
    return data
