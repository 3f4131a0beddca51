"""The options of ``tilewright bench``. Imports nothing heavy: the command line reads it on every start."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="the selection of a couple of minutes (default)")
    extent.add_argument(
        "--goals", action="store_true", help="every goal, updates and products at 512 x 512: under a quarter of an hour"
    )
    extent.add_argument("--full", action="store_true", help="every case and size")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATTERN",
        help="cases of the whole list whose name holds PATTERN, or matches it where it has * or ?; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--roofline", action="store_true", help="instead: how near each kernel comes to the limits of this machine"
    )
    parser.add_argument(
        "--cuda", action="store_true", help="instead: the CUDA kernels and training on a GPU, against its limits"
    )
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument(
        "--reference-python", metavar="PATH", help="interpreter that has the reference toolkit (default: this one)"
    )
    parser.add_argument("--no-reference", action="store_true", help="time our side alone")
    parser.add_argument(
        "--seconds", type=_positive, default=1.5, help="seconds aimed at per case (default 1.5); slow calls take longer"
    )
    parser.add_argument(
        "--longest", type=_positive, default=6.0, metavar="SECONDS",
        help="leave out updates where one call of the reference is expected to take longer (default 6)",
    )  # fmt: skip
    parser.add_argument("--turns", type=int, default=3, help="turns of each side at least (default 3)")
    parser.add_argument("--json", metavar="FILE", help="also write everything as JSON")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value
