"""Settings and their sources."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backend.errors import EquipoiseError
from backend.server.access import refuse_open_listening
from backend.settings import ProjectSettings, Settings


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run without the caller's settings."""
    monkeypatch.chdir(tmp_path)


def test_later_sources_win() -> None:
    Path("equipoise.toml").write_text(
        'strategy = "entropy"\nbatch = 7\n[projects.3]\nbatch = 8\nretrain_after = 9\n'
    )
    found = Settings().for_project(3, {"retrain_after": 10}, {"seed": 11})
    assert (found.strategy, found.batch, found.retrain_after, found.seed) == ("entropy", 8, 10, 11)
    assert Settings().for_project(4, {}, {}).batch == 7


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("equipoise.toml").write_text('strategy = "entropy"\n')
    monkeypatch.setenv("EQUIPOISE_STRATEGY", "random")
    assert Settings().for_project(1, {}, {}).strategy == "random"


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("strategy", "best", "bmmal"),
        ("preset", "huge", "quick"),
        ("batch", 0, "greater than or equal to 1"),
        ("colour", "red", "colour"),
        ("newer_than", {"day": "999999 weeks"}, "no time: write"),
        ("batch", 2**31, "less than or equal to"),
        ("publish", 2**63, "less than or equal to"),
        ("retrain_after", 10**30, "less than or equal to"),
        ("seed", 2**63, "less than or equal to"),
    ],
)
def test_wrong_values_are_refused_and_named(field: str, value: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Settings().for_project(1, {field: value}, {})


def test_an_open_server_listens_on_loopback_only() -> None:
    refuse_open_listening(Settings(host="127.0.0.1"))
    refuse_open_listening(Settings(host="::1"))
    refuse_open_listening(Settings(host="0.0.0.0", allow_open=True))
    refuse_open_listening(Settings(host="0.0.0.0", basic_auth_user="u", basic_auth_pass="p"))
    for host in ("0.0.0.0", "192.168.1.5", "::", "example.org"):
        with pytest.raises(EquipoiseError, match="BASIC_AUTH"):
            refuse_open_listening(Settings(host=host))


def test_what_is_checked_is_kept_as_it_was_said() -> None:
    said: dict[str, Any] = {
        "newer_than": {"day": "2 weeks", "at": "2026-01-10"},
        "strategy": "bald",
        "audit_share": 0.25,
        "strategy_options": {"dbal": {"beta": 3}},
    }
    found = ProjectSettings(**said)
    assert {name: getattr(found, name) for name in said} == said


def test_secrets_do_not_show() -> None:
    secrets = {"api_key": "top-secret", "basic_auth_pass": "hidden", "webhook_secret": "quiet"}
    secrets |= {"store_url": "postgresql+psycopg://u:pass@h/d", "proxy": "http://u:word@p:1"}
    shown = repr(Settings(basic_auth_user="u", **secrets))
    assert not any(secret in shown for secret in (*secrets.values(), "u:pass", "u:word"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"basic_auth_pass": "hush-hush"},
        {"webhook_secret": "hush-hush\n"},
        {"api_key": ["hush-hush"]},
        {"store_url": ["hush-hush"]},
        {"label_studio_url": "http://user:hush-hush@host"},
        {"public_url": "user:hush-hush@host"},
        {"label_studio_aliases": ["https://user:hush-hush@host"]},
        {"colour": "hush-hush"},
    ],
)
def test_what_is_wrong_with_a_secret_does_not_tell_it(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
        Settings(**wrong)
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["*", "a.*.example", "http://host", "", "*.", "u@host"])
def test_hosts_are_names_with_a_star_before_the_first_dot_at_most(pattern: str) -> None:
    Settings(media_hosts=["*.amazonaws.com", "host"])
    with pytest.raises(ValueError, match="host names"):
        Settings(media_hosts=[pattern])


def test_a_made_secret_is_the_same_for_all_who_ask(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new", basic_auth_user="u", basic_auth_pass="p")
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: settings.event_secret, range(32)))) == 1
    assert [path.name for path in settings.data_dir.iterdir()] == ["webhook_secret"]
    assert Settings(data_dir=tmp_path).event_secret is None


def test_servers_that_share_a_bucket_need_one_secret() -> None:
    shared = {"basic_auth_user": "u", "basic_auth_pass": "p", "artifacts_url": "s3://bucket"}
    with pytest.raises(EquipoiseError, match="set it, the same on all"):
        _ = Settings(**shared).event_secret
    assert Settings(**shared, webhook_secret="s").event_secret == "s"


@pytest.mark.parametrize("value", ["", " x", "a\nb", "ä"])
def test_a_secret_that_is_no_header_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        Settings(webhook_secret=value)


def test_a_missing_token_says_what_to_set() -> None:
    with pytest.raises(EquipoiseError, match="EQUIPOISE_API_KEY"):
        _ = Settings().key


def test_half_a_password_is_refused() -> None:
    with pytest.raises(ValueError, match="both"):
        Settings(basic_auth_user="u")


@pytest.mark.parametrize(
    ("name", "refused", "taken"),
    [
        ("port", [0, 65536], [1, 65535]),
        ("poll_seconds", [0, -1], [0.01]),
        ("full_compare_seconds", [0], [0.01]),
        ("keep_versions", [0], [1]),
        ("keep_rounds", [0], [1]),
        ("cache_bytes", [-1], [0]),
        ("min_free_bytes", [-1], [0]),
        ("max_passing_absent", [-0.01, 1.01], [0, 1]),
        ("max_media_bytes", [0], [1]),
        ("media_timeout", [0], [0.01]),
        ("decode_timeout", [0], [0.01]),
        ("predict_timeout", [0], [0.01]),
        ("max_body_bytes", [0], [1]),
        ("workers", [0], [1]),
        ("max_rounds", [0], [1]),
        ("ray_cpus", [0], [1]),
    ],
)
def test_numbers_of_a_server_have_bounds(
    name: str, refused: list[float], taken: list[float]
) -> None:
    for value in refused:
        with pytest.raises(ValidationError, match=name):
            Settings(**{name: value})
    assert [getattr(Settings(**{name: value}), name) for value in taken] == taken


@pytest.mark.parametrize(
    ("name", "refused", "taken"),
    [
        ("batch", [0, 2**31], [1, 2**31 - 1]),
        ("retrain_after", [0, 2**31], [1, 2**31 - 1]),
        ("publish", [0, 2**31], [1, 2**31 - 1, None]),
        ("audit_share", [-0.01, 1.01], [0, 0.05, 1]),
        ("want", [{"a": -0.01}, {"a": 1000.01}, {"a": float("inf")}], [{"a": 0}, {"a": 1000}]),
        ("seed", [-1, 2**63], [0, 2**63 - 1]),
    ],
)
def test_numbers_of_a_project_have_bounds(name: str, refused: list[Any], taken: list[Any]) -> None:
    for value in refused:
        with pytest.raises(ValidationError, match=name):
            ProjectSettings(**{name: value})
    assert [getattr(ProjectSettings(**{name: value}), name) for value in taken] == taken
