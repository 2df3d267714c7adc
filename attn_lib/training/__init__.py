"""Train a network, score it, ask whether its attention lies on the object, and compare mechanisms.

python -m attn_lib.training compare digits     makes weights/digits.json and the checkpoints weights/host_*
python -m attn_lib.training sanity             makes weights/sanity.json, from the checkpoints
"""

from .fitting import STEPS, fit
from .scoring import Localisation, accuracy, evaluate, localise, received
from .statistics import Difference, differences, holm, interval

__all__ = [
    "STEPS",
    "Difference",
    "Localisation",
    "accuracy",
    "differences",
    "evaluate",
    "fit",
    "holm",
    "interval",
    "localise",
    "received",
]
