"""Pieces of work on all threads."""

import threading

import numpy as np
import pytest
import torch

from strategies import STRATEGIES, Pool
from strategies.threads import in_threads


@pytest.fixture(params=[1, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_each_piece_is_done_once_on_one_thread(threads):
    found = np.zeros(50, int)

    def work(piece):
        found[piece] += torch.get_num_threads()

    in_threads(work, range(50))
    assert (found == 1).all()
    assert torch.get_num_threads() == threads


def test_pieces_are_done_at_once():
    met = threading.Barrier(3)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        in_threads(lambda _: met.wait(30) and None, range(3))
    finally:
        torch.set_num_threads(before)


def test_what_a_piece_raises_comes_out(threads):
    def fail(piece):
        if piece == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_threads(fail, range(5))
    assert torch.get_num_threads() == threads


def test_the_choice_does_not_depend_on_threads():
    features = np.random.default_rng(0).normal(size=(5000, 20)).astype(np.float32)
    pool = Pool(5000, ("z",), features={"z": features}, labelled_features={"z": features[:0]})
    before, orders = torch.get_num_threads(), []
    for count in (1, 3):
        torch.set_num_threads(count)
        orders.append(STRATEGIES["max_herding"](pool, 30, np.random.default_rng(0), radius=0.5))
    torch.set_num_threads(before)
    assert orders[0].order.tolist() == orders[1].order.tolist()
    assert orders[0].scores.tolist() == orders[1].scores.tolist()
