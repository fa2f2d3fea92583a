"""What can go wrong: every error has a code, which mtac's documentation explains, and says what to do."""

from __future__ import annotations

__all__ = ["MtacError"]


class MtacError(ValueError):
    """An input, a device or an installation that cannot be used.

    Attributes:
        code: For example ``MTA603``; the list is in mtac's documentation, under "Errors".
        remedy: What to do about it.
    """

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(f"{code}: {message}\n  {remedy}")
        self.code = code
        self.remedy = remedy
