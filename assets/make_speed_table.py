"""Write the table of speeds into the README, from what ``tilewright bench --goals --json FILE`` measured."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from tilewright.bench import report

README = Path(__file__).resolve().parents[1] / "README.md"
PLACE = re.compile(r"(<!-- speed table: [^\n]*-->\n).*?(<!-- end of speed table -->)", re.DOTALL)


def main() -> None:
    """Put the table in its place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="JSON file of the measurement")
    parser.add_argument("--readme", type=Path, default=README)
    options = parser.parse_args()
    measured = json.loads(options.results.read_text(encoding="utf-8"))
    table = report.summary(measured, measured["groups"])
    text = options.readme.read_text(encoding="utf-8")
    written, places = PLACE.subn(lambda found: f"{found[1]}\n{table}\n{found[2]}", text)
    if places != 1:
        raise SystemExit(f"{options.readme} has {places} places for the table of speeds; one is needed")
    options.readme.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
