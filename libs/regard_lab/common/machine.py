"""What a record says about the machine that made it, and the peak memory that a cell used."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "lightning", "torchmetrics", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Python's and the main packages' versions."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _PACKAGES}


def environment() -> dict[str, Any]:
    """Device, cores, threads and operating system, in words that can be compared."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return {
        "device": device,
        "accelerators": torch.cuda.device_count(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def revision(root: Path) -> str | None:
    """The commit of the work tree, followed by `+` if code has changed since.

    `None` outside Git, and in an archive unpacked inside another repository, whose commit says nothing of this code.
    """
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return None
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "libs", "projects")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def reset_peak_memory() -> None:
    """Reset the peak, because one process runs many cells. Where the system does not allow it, the peak is that of the process."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_mib() -> float:
    """The largest resident memory of this process since `reset_peak_memory`, in MiB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()
