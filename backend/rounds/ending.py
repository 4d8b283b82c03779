"""How the process of a round ends: what it notes with its round, and its status for the server.

The same wherever the round's work is done: in this process, or on a Ray node for which it waits.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from backend.errors import EquipoiseError, RoundLost
from backend.rounds.context import GONE
from backend.settings import Settings
from backend.store import disk
from backend.store.store import Claim, Store
from backend.store.tables import State
from model import cluster

log = structlog.get_logger(__name__)


class Stopped(Exception):
    """The server asked this process to stop."""


def ended(store: Store, config: Settings, claim: Claim, work: Callable[[], int]) -> int:
    """Do the work of a round, and note how it ended where that was not well.

    Args:
        store: where the round is.
        config: names the disk that may be full.
        claim: the round.
        work: returns the status of its process.

    Returns:
        That status; else 1 where a person can mend it, 2 where it is a fault of ours or of the
        machine, 3 where the round is another's, 4 where it was stopped, and GONE.
    """
    try:
        return work()
    except RoundLost as error:
        log.warning("round lost", reason=str(error))
        return 3
    except Stopped:
        store.finish(claim, State.INTERRUPTED, "The server was stopped; it starts again with it.")
        return 4
    except cluster.NodeLost as error:
        log.error("the round's node is gone", reason=str(error))
        return GONE
    except (EquipoiseError, cluster.ClusterUnavailable) as error:
        log.warning("round failed", reason=str(error))
        lasting = isinstance(error, EquipoiseError) and not error.passing
        store.finish(claim, State.FAILED, str(error), lasting=lasting)
        return 1
    except Exception as error:
        if disk.is_full(error):
            log.error("round failed: the disk is full", reason=str(error)[:300])
            reason = f"The disk of {config.data_dir} is full; what serves goes on. ({error})"
        else:
            log.exception("round failed")
            reason = f"{type(error).__name__}: {error}"
        store.finish(claim, State.FAILED, reason[:1000])
        return 2
