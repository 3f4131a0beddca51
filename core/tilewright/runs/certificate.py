"""A certificate that only this workspace has: what lets its own processes talk to its scheduler, and nobody else.

A scheduler runs whatever a client asks of it. On a machine that several people share, listening on the loopback address
keeps other machines out, not other users. So scheduler, workers and client of a workspace show each other one
self-made certificate, whose key lies in the workspace folder and can be read by its owner alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VALID_DAYS = 3650


@dataclass(frozen=True)
class Certificate:
    """A self-made certificate and its key, both as PEM files; it is its own authority."""

    certificate: Path
    key: Path

    def environment(self) -> dict[str, str]:
        """Settings of Dask that make a scheduler or worker show it and ask for it."""
        found = {
            "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(self.certificate),
        }
        for role in ("SCHEDULER", "WORKER", "CLIENT"):
            found[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = str(self.certificate)
            found[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = str(self.key)
        return found

    def security(self) -> Any:
        """The same for a client of this process."""
        from distributed import Security

        files = {"tls_ca_file": str(self.certificate), "tls_client_cert": str(self.certificate)}
        return Security(require_encryption=True, tls_client_key=str(self.key), **files)  # type: ignore[no-untyped-call]


def ensure_certificate(folder: Path) -> Certificate | None:
    """The certificate in ``folder``, made when there is none yet; None where the ``openssl`` command is missing.

    Raises:
        OSError: it cannot be written.
    """
    found = Certificate(folder / "certificate.pem", folder / "key.pem")
    if found.certificate.is_file() and found.key.is_file():
        return found
    command = shutil.which("openssl")
    if command is None:
        return None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Certificate(folder / f"certificate.{os.getpid()}", folder / f"key.{os.getpid()}")
    call = [
        command, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
        str(VALID_DAYS), "-subj", "/CN=tilewright", "-keyout", str(made.key), "-out", str(made.certificate),
    ]  # fmt: skip
    done = subprocess.run(call, capture_output=True, stdin=subprocess.DEVNULL, umask=0o077, check=False)
    if done.returncode != 0:
        return None
    made.key.replace(found.key)
    made.certificate.replace(found.certificate)
    return found
