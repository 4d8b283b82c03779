"""What may be set: environment `EQUIPOISE_*`, then `equipoise.toml`, then these defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from backend.hosts import checked_url


class Given(BaseSettings):
    """The settings as they are given; what a project may override is None unless it is set."""

    model_config = SettingsConfigDict(
        env_prefix="EQUIPOISE_",
        env_nested_delimiter="__",
        toml_file="equipoise.toml",
        extra="forbid",
        hide_input_in_errors=True,
    )

    label_studio_url: str = Field(
        "http://localhost:8080", description="Where this backend reaches Label Studio."
    )
    label_studio_aliases: list[str] = Field(
        default_factory=list, description="Other base URLs of the same Label Studio in task data."
    )
    api_key: SecretStr | None = Field(
        None, description="Label Studio personal access token or legacy token."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(9090, ge=1, le=65535)
    public_url: str | None = Field(
        None, description="Where Label Studio reaches this backend; default http://HOST:PORT."
    )
    basic_auth_user: str | None = None
    basic_auth_pass: SecretStr | None = None
    webhook_secret: SecretStr | None = Field(
        None, description="Secret that webhooks must carry; made and kept where a password is set."
    )
    notify_url: SecretStr | None = Field(
        None, description="Address that is told of what happens; a secret, as many of them are."
    )
    notify_secret: SecretStr | None = Field(
        None, description="Secret that signs what notify_url is told."
    )
    trusted_hosts: list[str] = Field(
        default_factory=list, description="More names by which this backend may be called."
    )
    allow_open: bool = Field(
        False, description="Listen on a non-loopback address without basic auth."
    )
    data_dir: Path = Field(Path(".equipoise"), description="Store, feature cache, checkpoints.")
    store_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL; default SQLite inside data_dir."
    )
    artifacts_url: SecretStr | None = Field(
        None, description="Where servers share rounds and features; default: data_dir alone."
    )
    auto_connect: bool = Field(
        True, description="Set up sampling, tab and webhook of projects that add our URL by hand."
    )
    poll_seconds: float = Field(
        20.0, gt=0, description="How often the state of Label Studio is compared with ours."
    )
    full_compare_seconds: float = Field(
        600.0, gt=0, description="How often every task is looked at, whatever the counts say."
    )
    keep_versions: int = Field(
        2, ge=1, description="Versions whose predictions stay in Label Studio."
    )
    keep_rounds: int = Field(5, ge=1, description="Rounds whose checkpoints stay on disk.")
    cache_bytes: int = Field(
        20_000_000_000,
        ge=0,
        description="Size of the feature cache; the longest unused goes first.",
    )
    min_free_bytes: int = Field(
        1_000_000_000, ge=0, description="Free space in data_dir below which no round starts."
    )
    local_files_root: Path | None = Field(
        None, description="Read /data/local-files/ from this folder instead of over HTTP."
    )
    media_hosts: list[str] = Field(
        default_factory=list, description="Other hosts that task media may be fetched from."
    )
    ca_file: Path | None = Field(
        None, description="PEM file of certificate authorities to trust beside the usual ones."
    )
    proxy: SecretStr | None = Field(
        None, description="Proxy for Label Studio and media, but not for loopback and no_proxy."
    )
    no_proxy: list[str] = Field(
        default_factory=list, description="Hosts that are reached without the proxy."
    )
    max_passing_absent: float = Field(
        0.2, ge=0, le=1, description="Share of a modality that may be absent for passing reasons."
    )
    media_private: bool = Field(
        False, description="Allow media_hosts that resolve to private addresses."
    )
    max_media_bytes: int = Field(200_000_000, ge=1)
    media_timeout: float = Field(60.0, gt=0, description="Seconds one media file may take.")
    decode_timeout: float = Field(
        120.0, gt=0, description="Seconds that decoding one file may take; then it is left out."
    )
    predict_timeout: float = Field(
        10.0, gt=0, description="Seconds that /predict may take for a task that is not ranked."
    )
    max_body_bytes: int = Field(100_000_000, ge=1, description="Largest request body accepted.")
    workers: int = Field(2, ge=1, description="Threads that fetch and decode media.")
    max_rounds: int = Field(1, ge=1, description="Rounds that run at once, of all projects.")
    worker_in_waiting: bool = Field(
        True, description="Keep a process loaded (450 MB): rounds start some seconds earlier."
    )
    executor: Literal["process", "ray"] = Field(
        "process", description="Where a round runs: a process of this machine, or a Ray node."
    )
    ray_address: str = Field("127.0.0.1:6379", description="host:port of the Ray cluster's head.")
    ray_cpus: int = Field(
        1, ge=1, description="Processors that a round reserves on its Ray node and computes on."
    )
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    log_level: str = "INFO"

    strategy: str | None = None
    batch: int | None = None
    retrain_after: int | None = None
    publish: int | None = None
    audit_share: float | None = None
    want: dict[str, float] | None = None
    priority_key: str | None = None
    only: dict[str, Any] | None = None
    newer_than: dict[str, str] | None = None
    once: bool | None = None
    seed: int | None = None
    preset: str | None = None
    strategy_options: dict[str, dict[str, Any]] | None = None
    overrides: dict[str, Any] | None = None
    projects: dict[int, dict[str, Any]] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then the TOML file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @field_validator("webhook_secret")
    @classmethod
    def _header_value(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value is not None else "none"
        if not text or not text.isascii() or not text.isprintable() or text != text.strip():
            raise ValueError("must be visible ASCII characters: it is sent as an HTTP header")
        return value

    @field_validator("artifacts_url")
    @classmethod
    def _bucket_url(cls, value: SecretStr | None) -> SecretStr | None:
        url = value.get_secret_value() if value is not None else ""
        if url and "://" not in url:
            raise ValueError("must be a URL like s3://BUCKET/PREFIX")
        return value if url else None

    @field_validator("label_studio_url", "public_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        return None if value is None else checked_url(value)

    @field_validator("notify_url")
    @classmethod
    def _told_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            checked_url(value.get_secret_value())
        return value

    @field_validator("label_studio_aliases")
    @classmethod
    def _http_urls(cls, value: list[str]) -> list[str]:
        return [checked_url(url) for url in value]

    @field_validator("media_hosts", "no_proxy", "trusted_hosts")
    @classmethod
    def _host_patterns(cls, value: list[str]) -> list[str]:
        for pattern in value:
            name = pattern.removeprefix("*.")
            if not name or set(name) & set("*/@ "):
                raise ValueError("must be host names; a * stands before the first dot only")
        return value
