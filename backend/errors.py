"""The errors users see; every message says what to do."""

from __future__ import annotations


class EquipoiseError(Exception):
    """Something a user can mend; the command line prints it without a traceback.

    Attributes:
        passing: whether the same thing may succeed later although nobody mends anything.
    """

    passing = False


class UnsupportedConfig(EquipoiseError):
    """The label config holds nothing this backend can learn, or an input it cannot read."""


class LabelStudioError(EquipoiseError):
    """Label Studio refused a request or could not be reached.

    Attributes:
        status: HTTP status, or None when no answer came.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.passing = status is None or status in (401, 408, 425, 429) or status >= 500


class NotConnected(EquipoiseError):
    """The project is unknown to this backend's store."""


class ForeignProject(EquipoiseError):
    """Another Label Studio's project, which happens to have the id of one in the store."""


class RoundLost(EquipoiseError):
    """The round's lease is gone: it was cancelled, or another server took the project over."""


class StoreError(EquipoiseError):
    """The store cannot be used as it is: it is newer than the code, foreign, or has no room."""

    passing = True


class UnusableCheckpoint(EquipoiseError):
    """A version's model cannot be loaded; it is trained again."""


class NoRoom(EquipoiseError):
    """The disk has less free space than a round needs."""

    passing = True


class Busy(EquipoiseError):
    """Another process is at work on the same thing; later it will be free."""

    passing = True
