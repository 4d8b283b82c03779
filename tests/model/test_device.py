"""Threads: decoding beside a network must not bring a team of threads per decoder."""

from __future__ import annotations

import multiprocessing

import numpy as np
import torch

from model import device
from model.encoders.resident import in_pieces


def test_a_team_computes_on_one_thread_each_and_the_caller_on_all_of_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with device.team(2) as pool:
            jobs = [pool.submit(torch.get_num_threads) for _ in range(8)]
            assert {job.result() for job in jobs} == {1}
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def _doubled() -> float:
    return float(in_pieces(lambda x: 2 * x, np.ones((8, 3), np.float32), 2).sum())


def test_a_process_that_forks_off_has_a_team_of_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert _doubled() == 48
        child = multiprocessing.get_context("fork").Process(target=_doubled)
        child.start()
        child.join(30)
        code = child.exitcode
        child.kill()
        assert code == 0
    finally:
        torch.set_num_threads(before)
