"""A tiny wrapper that execs a command which dies with its parent, also when the parent is killed with -9.

Run by path, without `site`, as `leash.py PARENT_PID COMMAND…`: a child may set this only for itself, and
code between fork and exec of a bigger process is not safe. Linux only; elsewhere it just execs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Ask the kernel for SIGTERM at the parent's death, then become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # After prctl, because a parent that died before it is never told of.
    if os.getppid() != parent:
        sys.exit(f"the parent {parent} is gone")
    try:
        os.execv(command[0], command)  # noqa: S606 (the command is dev's own)
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
