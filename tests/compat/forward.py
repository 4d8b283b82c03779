"""A pytest plugin for Label Studio's own tests: where they mock a backend, ours answers.

It runs in Label Studio's environment (tests/compat/environment.py) and is named there with -p.
EQUIPOISE_COMPAT_URL is where ours listens. Each test makes a project 1 of its own in an empty
database, which ours takes for another Label Studio, and refuses; so it hears another number.
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import requests_mock

ASKED = []
STAMPS = {}


def pytest_collection_modifyitems(items):
    """Take the place of `register_ml_backend_mock` in every module that uses it."""
    for module in {item.module for item in items}:
        if hasattr(module, "register_ml_backend_mock"):
            module.register_ml_backend_mock = forward


def forward(mocker, url="http://localhost:9090", **_):
    """Pass on what is asked of a mocked backend, and its answer."""
    mocker.register_uri(requests_mock.ANY, re.compile(re.escape(url)), text=_answer)
    return mocker


def _answer(request, context):
    path = urlsplit(request.url).path
    body = json.loads(request.body) if request.body else None
    if body and isinstance(body.get("project"), str):
        number, _, made = body["project"].partition(".")
        place = STAMPS.setdefault(made, len(STAMPS))
        body["project"] = f"{1000 * int(number) + place}.{made}"
    ours = urllib.request.Request(
        os.environ["EQUIPOISE_COMPAT_URL"] + path,
        data=json.dumps(body).encode() if body else None,
        method=request.method,
        headers={"Content-Type": "application/json"},
    )
    ASKED.append(f"{request.method} {path}")
    try:
        with urllib.request.urlopen(ours, timeout=60) as answer:
            context.status_code = answer.status
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        context.status_code = error.code
        return error.read().decode()


def pytest_terminal_summary(terminalreporter):
    """Say how often ours was asked."""
    terminalreporter.write_line(f"asked of Equipoise: {len(ASKED)} requests: {sorted(set(ASKED))}")
