"""What the process of a round costs before it reads its first task.

python -m benchmarks.starting [--quick] [--json FILE]

The baseline of a start loads scikit-learn's neighbours and scipy.stats as well, as every round once
did for the map, for near-duplicates and for intervals. That of the networks is the libraries that
define them, and that of the optimizer is torch's, which loads the compiler.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from benchmarks._report import Row, Timing, arguments, run, times_faster

_CHILD = """
import json, resource, sys, time
{before}
begun, processor = time.perf_counter(), time.process_time()
{what}
took = time.perf_counter() - begun, time.process_time() - processor
print(json.dumps([*took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
_START = "import backend.rounds.process"
_NET = f"{_START}\nfrom model.encoders import lite0, minilm, packaged"
_BERT = """
from safetensors.torch import load_file
from transformers import BertConfig, BertModel
folder = packaged.checked(packaged.MINILM) / "model"
net = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
stored = load_file(folder / "model.safetensors")
unused = ("pooler.", "embeddings.position_ids")
net.load_state_dict({k: v for k, v in stored.items() if not k.startswith(unused)})
"""
_TIMM = """
import timm, torch
net = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
path = packaged.checked(packaged.EFFICIENTNET) / packaged.EFFICIENTNET.files[0][0]
stored = torch.load(path, weights_only=True)
layers = [value for name, value in stored.items() if not name.startswith("_fc.")]
net.load_state_dict(dict(zip(net.state_dict(), layers, strict=True)))
"""
_WEIGHT = f"{_START}\nimport torch; weight = torch.nn.Parameter(torch.zeros(3))"
_OURS = f"{_WEIGHT}\nfrom model.optimisation import KINDS"
_COMPARED = (
    # what, before, ours, baseline, at least
    (
        "start the process of a round",
        "",
        _START,
        f"{_START}\nimport sklearn.neighbors, scipy.stats",
        1.2,
    ),
    ("load MiniLM", _NET, "minilm.Sentences()", _BERT, 5),
    ("load EfficientNet-Lite0", _NET, "lite0.Pictures()", _TIMM, 5),
    ("make an optimizer", _OURS, "KINDS['adamw']([weight])", "torch.optim.AdamW([weight])", 5),
)


def _child(before: str, what: str) -> list[float]:
    command = [sys.executable, "-c", _CHILD.format(before=before, what=what)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


def compare(quick: bool) -> list[Row]:
    """Run both in turn; the least counts, by time of processors as by the clock."""
    rows = []
    for what, before, mine, theirs, least in _COMPARED:
        runs = [(_child(before, mine), _child(before, theirs)) for _ in range(1 if quick else 5)]
        ours, once = (np.array(each).min(axis=0) for each in zip(*runs, strict=True))
        fast, slow = (Timing(float(each[0]), float(each[1])) for each in (ours, once))
        memory = float(ours[2]), float(once[2])
        rows += [
            times_faster(what, fast, slow, f">= {least}"),
            Row(f"{what}, memory", *memory, "MB", memory[1] / memory[0], ">= 1"),
        ]
    return rows


if __name__ == "__main__":
    run({"start": compare}, arguments(str(__doc__)))
