"""What was compiled, kept from process to process: entries whose names say what they are made of and what they hold."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

__all__ = ["cache_folder", "entry_name", "find_entry", "write_whole"]


def cache_folder() -> Path:
    """Where the user's compiled libraries and kernels are kept."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if given != "" else Path.home() / ".cache") / "mtac" / "python"


def find_entry(folder: Path, key: str, ending: str) -> Path | None:
    """The entry of a key, or None.

    One that does not hold what its name says, because it was damaged or cut short, is removed: to load half a library
    ends the process.
    """
    for entry in sorted(folder.glob(f"{key}-*{ending}")):
        try:
            if entry.name == entry_name(key, entry.read_bytes(), ending):
                return entry
            entry.unlink()
        except OSError:
            # Another process has removed it, or it cannot be removed: what is made anew takes its place.
            continue
    return None


def entry_name(key: str, content: bytes, ending: str) -> str:
    """What the file of an entry is called; ``key`` says what it was made of."""
    return f"{key}-{hashlib.sha256(content).hexdigest()[:16]}{ending}"


def write_whole(target: Path, content: bytes) -> None:
    """Written beside its place and renamed: processes that write at once never leave half a file."""
    handle, beside = tempfile.mkstemp(dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(beside, target)
    except BaseException:
        os.unlink(beside)
        raise
