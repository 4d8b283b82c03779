"""Threads: decoding beside a network must not bring a team of threads per decoder."""

from __future__ import annotations

import torch

from model import device


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
