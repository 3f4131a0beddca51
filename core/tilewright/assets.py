"""Where the files that ship with Tilewright are: in a source checkout and in an installed package."""

from __future__ import annotations

from pathlib import Path


def studio_folder() -> Path:
    """The folder that holds ``app/``, ``pages/`` and ``assets/``: inside an installed package, or the checkout.

    Raises:
        FileNotFoundError: neither is there, so the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    places = [package / "_studio", package.parents[1]]
    for place in places:
        if (place / "assets").is_dir():
            return place
    raise FileNotFoundError(
        f"the files that ship with Tilewright are missing: looked for 'assets' in {' and in '.join(map(str, places))}; "
        "install Tilewright again"
    )


def asset_path(*parts: str) -> Path:
    """Path of a shipped file or folder, e.g. ``asset_path("data", "mnist-small")``.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = studio_folder().joinpath("assets", *parts)
    if not path.exists():
        raise FileNotFoundError(f"{Path(*parts)} does not ship with this installation (looked in {path.parent})")
    return path
