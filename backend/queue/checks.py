"""The conditions under which Label Studio silently does no active learning, one check each."""

from __future__ import annotations

from collections.abc import Callable

from backend.children import namesakes
from backend.errors import EquipoiseError
from backend.labelstudio.config import parse
from backend.queue import connect as connecting
from backend.queue.facts import Check, Facts
from backend.queue.tab import TAB

_SLOW = 5.0  # seconds: half a round of 100,000 tasks that trains on few labels
_MANY = 10_000
SPARED = "fflag_fix_back_4620_memory_efficient_predictions_import_08012025_short"
"""Label Studio's switch: an import of predictions counts its own tasks only (docs/scale.md)."""


def understood(facts: Facts) -> Check:
    """Tell whether what annotators said can be read; it needs all annotations."""
    name = "annotations are understood"
    found = facts.answers
    if found is None:
        return Check(name, False, "the label config cannot be read", "change the interface first")
    told = f"{len(found.labelled)} of {found.annotated} annotated tasks say something"
    if not found.unread:
        return Check(name, not found.alarm, found.alarm or told, facts.connect)
    reasons = "; ".join(f"{n} x {reason}" for reason, n in found.unread.most_common(3))
    fix = "what is not understood counts as not answered; change those annotations if it matters"
    return Check(name, False, f"{told}; not understood: {reasons}", fix, warning=not found.alarm)


def _config(facts: Facts) -> Check:
    try:
        config = parse(facts.remote["label_config"])
    except EquipoiseError as error:
        return Check("label config", False, str(error), "change the labeling interface")
    return Check("label config", True, config.sentence)


def _registered(facts: Facts) -> Check:
    name = "backend registered"
    if not facts.ours:
        return Check(name, False, f"no backend with {facts.settings.url}", facts.connect)
    if len(facts.ours) > 1:
        return Check(name, False, f"registered {len(facts.ours)} times", facts.connect)
    if facts.backends[0]["id"] != facts.ours[0]["id"]:
        return Check(
            name,
            False,
            f"{facts.backends[0]['url']} comes first, and Label Studio asks only the first one",
            "delete the other backend in Settings > Model",
        )
    return Check(name, True, facts.settings.url)


_STATES = {
    "CO": "Connected",
    "DI": "Disconnected",
    "ER": "Error",
    "TR": "Training",
    "PR": "Predicting",
}
"""What Label Studio calls them; old ones (1.10) give the short form only."""


def _reachable(facts: Facts) -> Check:
    name = "backend reachable from Label Studio"
    if not facts.ours:
        return Check(name, False, "not registered", facts.connect)
    ours = facts.ours[0]
    state = ours.get("readable_state") or _STATES.get(ours["state"], ours["state"])
    if state in ("Connected", "Training", "Predicting"):
        return Check(name, True, state)
    return Check(
        name,
        False,
        f"{state}: {ours.get('error_message')}",
        f"start `equipoise serve`, and let Label Studio reach it at {facts.settings.url} "
        "(EQUIPOISE_PUBLIC_URL; USE_DEFAULT_BANNED_SUBNETS=false for private addresses)",
    )


def _webhook(facts: Facts) -> Check:
    name = "webhook"
    url = f"{facts.settings.url}/webhook"
    hooks = [hook for hook in facts.webhooks if hook["url"].rstrip("/") == url]
    if not hooks:
        return Check(name, False, f"none to {url}", facts.connect)
    hook = hooks[0]
    if not hook["is_active"]:
        return Check(name, False, "switched off", facts.connect)
    if not hook["send_for_all_actions"] and not {
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_DELETED",
    } <= set(hook["actions"]):
        return Check(name, False, f"reports only {hook['actions']}", facts.connect)
    needed = connecting.webhook_headers(facts.settings)
    if any(hook["headers"].get(k) != v for k, v in needed.items()):
        return Check(
            name,
            False,
            "sends no valid secret or password, so its events are refused",
            facts.connect,
        )
    return Check(name, True, "active")


def _sampling(facts: Facts) -> Check:
    found = facts.remote["sampling"]
    return Check("sampling", found == connecting.SAMPLING, str(found), facts.connect)


def _first_round(facts: Facts) -> Check:
    name = "a version is committed"
    if facts.current is None:
        fix = "wait for the first round, or see `equipoise status`"
        problem = facts.owner.problem if facts.owner else "not connected"
        return Check(name, False, problem or "no round yet", fix)
    return Check(name, True, facts.current.version)


def _version(facts: Facts) -> Check:
    name = "project.model_version"
    found = facts.remote["model_version"]
    wanted = facts.current.version if facts.current else None
    return Check(
        name,
        found == wanted,
        f"{found!r}" + ("" if found == wanted else f", not {wanted!r}: the queue is random"),
        f"select {wanted!r} in Settings > Annotation, or {facts.connect}",
    )


def _title(facts: Facts) -> Check:
    found = facts.ours[0]["title"] if facts.ours else None
    wanted = facts.current.version if facts.current else found
    return Check(
        "backend title", found is not None and found == wanted, f"{found!r}", facts.connect
    )


def _stored(facts: Facts) -> Check:
    name = "predictions of this version"
    if facts.current is None:
        return Check(name, False, "no version yet", "wait for the first round")
    found, wanted = facts.counts.get(facts.current.version, 0), facts.current.published
    return Check(
        name,
        found >= wanted,
        f"{found} of {wanted}",
        f"run `equipoise rank --project {facts.project} --publish`",
    )


def _counted(facts: Facts) -> Check:
    took = float(facts.current.durations.get("publish", 0)) if facts.current else 0.0
    tasks = int(facts.remote["task_number"])
    slow = took >= _SLOW and tasks >= _MANY  # few tasks are slow for another reason
    return Check(
        "predictions are stored quickly",
        not slow,
        f"the last round's took {took:.0f} s"
        + (f": Label Studio counted all its {tasks:,} tasks again" if slow else ""),
        f"{SPARED}=true in Label Studio's environment spares the count, and its check of the "
        "answers that anybody imports",
        warning=True,
    )


def _shown(facts: Facts) -> Check:
    found = bool(facts.remote["show_collab_predictions"])
    return Check(
        "pre-annotations shown", found, "on" if found else "off", facts.connect, warning=True
    )


def _tab(facts: Facts) -> Check:
    found = any(tab["data"].get("title") == TAB for tab in facts.tabs)
    return Check("Data Manager tab", found, "there" if found else "gone", facts.connect)


def _trigger(facts: Facts) -> Check:
    found = facts.remote["min_annotations_to_start_training"]
    return Check(
        "Label Studio's own training trigger",
        found == 0,
        "off" if found == 0 else f"every {found} annotations, inside the annotator's request",
        facts.connect,
        warning=True,
    )


def _evaluates(facts: Facts) -> Check:
    found = bool(facts.remote.get("evaluate_predictions_automatically"))
    return Check(
        "Label Studio's own predictions",
        not found,
        "asked for at every listing of tasks, and stored one by one" if found else "off",
        "turn off evaluate_predictions_automatically: PATCH /api/projects/ID/",
        warning=True,
    )


def _private(facts: Facts) -> Check:
    folder = facts.settings.data_dir
    mode = folder.stat().st_mode & 0o077 if folder.is_dir() else 0
    return Check(
        "data_dir",
        not mode,
        "others on this machine may look into it" if mode else "its owner's alone",
        f"chmod 700 {folder}",
        warning=True,
    )


def _overlap(facts: Facts) -> Check:
    found = facts.remote["maximum_annotations"]
    return Check(
        "annotations per task",
        found == 1,
        str(found),
        "with overlap, tasks that others began come first, in random order; the ranking orders "
        "only the rest. Set annotations per task to 1 where that matters",
        warning=True,
    )


def _names(facts: Facts) -> Check:
    found = namesakes()
    return Check(
        "names of our packages",
        not found,
        f"taken by {', '.join(found)}" if found else "not taken by anything else",
        "start Equipoise in another folder, and keep that one off PYTHONPATH",
        warning=True,
    )


CHECKS: tuple[Callable[[Facts], Check], ...] = (
    _config,
    understood,
    _registered,
    _reachable,
    _webhook,
    _sampling,
    _first_round,
    _version,
    _title,
    _stored,
    _counted,
    _tab,
    _shown,
    _trigger,
    _overlap,
    _evaluates,
    _private,
    _names,
)
"""Every check, in the order in which the conditions are best mended."""
