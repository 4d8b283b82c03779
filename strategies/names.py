"""The registered names, in the order in which they are shown."""

NAMES = (
    "random",
    "least_confidence",
    "margin",
    "entropy",
    "bald",
    "coreset",
    "dbal",
    "deepfool",
    "gcnal",
    "badge",
    "bmmal",
    "grace",
    "grace_i",
    "grace_ir",
    "typiclust",
)
