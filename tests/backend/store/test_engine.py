"""SQLite only where its locks reach: never on another machine's disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import StoreError
from backend.store.engine import MOUNTS, check_place

LINES = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:52 / /mnt rw,relatime shared:9 - {kind} there:/export rw,vers=4.2
41 40 254:16 / /mnt/own rw - xfs /dev/vdb rw
42 22 0:53 / /mnt/two\\040words rw - {kind} there:/other rw
"""


def lies(tmp_path: Path, database: str, kind: str = "nfs4") -> None:
    """Check a SQLite store in a place, where /mnt is of a kind."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(LINES.format(kind=kind))
    check_place(f"sqlite:///{database}", mounts)


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "ceph", "fuse.rclone"]
)
def test_a_network_folder_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(StoreError, match=rf"network folder \({kind}\).*store_url"):
        lies(tmp_path, "/mnt/data/equipoise.db", kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "overlay", "tmpfs", "9p", "fuse.fuse-overlayfs"])
def test_what_is_on_this_machine_is_not(tmp_path: Path, kind: str) -> None:
    lies(tmp_path, "/mnt/data/equipoise.db", kind)


def test_the_nearest_mount_decides(tmp_path: Path) -> None:
    lies(tmp_path, "/mnt/own/equipoise.db")
    lies(tmp_path, "/mnt2/equipoise.db")
    with pytest.raises(StoreError):
        lies(tmp_path, "/mnt/own2/equipoise.db")
    with pytest.raises(StoreError):
        lies(tmp_path, "/mnt/two words/equipoise.db", "fuse.sshfs")


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/mnt/data")
    with pytest.raises(StoreError):
        lies(tmp_path, f"{tmp_path}/link/equipoise.db")


def test_what_the_kernel_says_of_this_machine_is_understood(tmp_path: Path) -> None:
    if not MOUNTS.exists():
        pytest.skip("Linux tells of its mounts in /proc")
    check_place(f"sqlite:///{tmp_path / 'equipoise.db'}")


def test_another_database_may_have_its_files_anywhere(tmp_path: Path) -> None:
    check_place("postgresql+psycopg://eq@/postgres", tmp_path)
    check_place("sqlite://", tmp_path)
