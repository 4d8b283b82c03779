"""Pieces of work on all threads, each piece on one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")


def in_threads(work: Callable[[Piece], None], pieces: Sequence[Piece]) -> None:
    """Do pieces of work on as many threads as torch computes with.

    Note: torch's own teams meet after every operation, and on a busy machine burn most of the time
    waiting for members that are not scheduled. What a piece computes does not depend on threads.
    """
    count = torch.get_num_threads()
    torch.set_num_threads(1)  # a thread's setting is also that of threads to come
    try:
        if min(count, len(pieces)) <= 1:
            for piece in pieces:
                work(piece)
            return
        with ThreadPoolExecutor(count, thread_name_prefix="strategy") as pool:
            list(pool.map(work, pieces))  # raises what a piece raised
    finally:
        torch.set_num_threads(count)
