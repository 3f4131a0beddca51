"""Naming processes so that a later one can tell whether they still live."""

from __future__ import annotations

import os
import socket

import psutil


def process_label(pid: int | None = None) -> str:
    """``pid@host since start``: unlike the number alone, never taken by another process later."""
    process = psutil.Process(os.getpid() if pid is None else pid)
    return f"{process.pid}@{socket.gethostname()} since {process.create_time():.1f}"


def is_dead(label: str) -> bool:
    """Whether the process of a label has certainly ended. False for processes of other machines."""
    number, _, rest = label.partition("@")
    host, _, start = rest.partition(" since ")
    if not number.isdigit() or host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(number))
        return f"{process.create_time():.1f}" != start or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
