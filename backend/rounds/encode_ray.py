"""Encoding on Ray: a round's process and the cluster's free processors share what is missing.

Tasks are cut into parts; each is prepared as backend/media/prepared.py prepares all of them, on
whatever node takes it, and its arrays land by their keys in the feature cache that all nodes share,
or in the bucket. Nothing depends on it: what no node has prepared, the round prepares itself.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import LabelConfig, parse
from backend.media.decode_log import DecodeLog
from backend.media.prepared import prepared
from backend.media.task_media import MediaSource
from backend.rounds.context import HUNG, Run
from backend.rounds.ray_node import told_settings
from backend.settings import settings
from backend.store.bucket import Bucket
from backend.store.features import SharedFeatures
from backend.store.lease import kept_alive
from model import cluster
from model.options import Preparation
from model.preparation import wanting

log = structlog.get_logger(__name__)
PART = 256
"""Tasks of a part: whole batches of every encoder, so that a part is embedded as in one go."""
_PATIENCE, _TIMES = 30.0, 4.0
"""Seconds, and times the longest part so far, after which nothing more is waited for."""


def share(
    run: Run,
    tasks: Sequence[dict[str, Any]],
    config: LabelConfig,
    label_config: str,
    preparation: Preparation,
) -> None:
    """Put what the feature cache lacks of some tasks into it, on all free processors.

    Args:
        run: the round.
        tasks: as Label Studio shows them.
        config: which of their values are modalities.
        label_config: the same as Label Studio has it.
        preparation: names the encoders.
    """
    source = MediaSource(run.studio, run.settings, project=run.project, decode_log=run.decode_log)
    samples = [source.sample(task, config) for task in tasks]
    lacking = wanting(samples, config.schema, preparation, run.features)
    parts = deque(
        json.dumps(
            {
                "project": run.project,
                "folder": str(run.folder),
                "tasks": [tasks[index] for index in lacking[start : start + PART]],
                "label_config": label_config,
                "preparation": preparation.to_json(),
            }
        )
        for start in range(0, len(lacking), PART)
    )
    if len(parts) < 2:
        return
    run.folder.mkdir(parents=True, exist_ok=True)  # by which a node sees that it has our cache
    try:
        with cluster.connected(run.settings.ray_address, logs=True) as ray:
            free = int(ray.available_resources().get("CPU", 0))
            log.info("encoding on ray", parts=len(parts), processors=free)
            if free:
                _work(run, ray, parts, free, len(lacking))
    except cluster.ClusterUnavailable as error:
        log.warning("encoding without ray", reason=str(error))


def _work(run: Run, ray: Any, parts: deque[str], free: int, total: int) -> None:
    """Let `free` processors take parts from the front, and take them from the back ourselves."""
    job = ray.remote(encode_part).options(num_cpus=1, max_retries=1, name="equipoise encode")
    told = told_settings(run.settings)
    flying: set[Any] = set()
    count, ended, longest = len(parts), time.monotonic(), 0.0
    while parts or flying:
        while parts and len(flying) < free:
            flying.add(job.remote(parts.popleft(), told))
        if parts:
            began = time.monotonic()
            encode_part(parts.pop(), {})
            ended = time.monotonic()
            longest = max(longest, ended - began)
        done, _ = ray.wait(list(flying), num_returns=len(flying), timeout=0 if parts else 1.0)
        for one in done:
            flying.remove(one)
            _noted(ray, one)
        ended = time.monotonic() if done else ended
        left = len(parts) + len(flying)
        run.progress("prepare", (count - left) * total // count, total)
        # A part may wait for a node that has died since it was counted: for ever.
        if not parts and time.monotonic() - ended > max(_PATIENCE, _TIMES * longest):
            log.warning("a node does not encode; the round does it itself", parts=len(flying))
            return


def _noted(ray: Any, job: Any) -> None:
    """Take note of a part that ended; one that failed is left to the round itself."""
    try:
        cluster.result(ray, job)
    except cluster.NodeLost as error:
        log.warning("a part was not encoded on ray", reason=str(error))


def encode_part(work: str, environment: Mapping[str, str]) -> None:
    """Prepare one part on the processor where this is called.

    Args:
        work: JSON: project, tasks, label_config, preparation, and a folder that a node has if it
            shares the feature cache; without it, and without a bucket, the part is the round's.
        environment: settings to take over first, as environment variables.
    """
    os.environ.update(environment)
    config, told = settings(), json.loads(work)
    if not config.bucket and not Path(told["folder"]).is_dir():
        log.warning("data_dir is not shared: this node cannot encode for the round")
        return
    cache = None
    if config.bucket:
        bucket = Bucket(config.data_dir, config.bucket)
        cache = SharedFeatures(config.cache, bucket, told["project"], shared_from=1)
    decode_log = DecodeLog(config.decoding)

    def watch() -> bool:
        if decode_log.oldest() > config.decode_timeout:
            os._exit(HUNG)  # nothing else ends a decoder; the next round finds the file
        return True

    with LabelStudio.of(config) as studio, kept_alive(watch), decode_log.open():
        prepared(
            told["tasks"],
            parse(told["label_config"]),
            Preparation.from_json(told["preparation"]),
            project=told["project"],
            studio=studio,
            settings=config,
            decode_log=decode_log,
            workers=1,
            cache=cache,
        )
