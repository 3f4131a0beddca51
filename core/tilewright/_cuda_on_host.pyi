"""The kernels of ``_cuda``, run by the host thread after thread: for the tests."""

from tilewright._cuda import *  # noqa: F403  the same functions
