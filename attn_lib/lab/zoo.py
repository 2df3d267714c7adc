"""Trained networks that come with the library: load("host_self_attention")."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ..vit import FeatureViT
from .networks import HostCNN, StemViT
from .runs import rounded
from .scoring import calibrate
from .tasks import CALIBRATED, TASKS

WEIGHTS = Path(__file__).parent / "weights"
_NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "FeatureViT": FeatureViT,
    "HostCNN": HostCNN,
    "StemViT": StemViT,
}


def checkpoints() -> list[str]:
    """The names that `load` knows."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def card(name: str) -> dict:
    """How a checkpoint was made (command, seed, versions, time) and what it scores.

    Raises:
        ValueError: no checkpoint has that name.
    """
    if name not in checkpoints():
        raise ValueError(f"no checkpoint {name!r}; there are {', '.join(checkpoints())}")
    return results(name)


def results(name: str) -> dict:
    """The measurements in weights/`name`.json, with the command that makes them.

    Raises:
        ValueError: there are none of that name.
    """
    path = WEIGHTS / f"{name}.json"
    if not path.is_file():
        raise ValueError(
            f"no results {name!r}; there are {', '.join(sorted(p.stem for p in WEIGHTS.glob('*.json')))}"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def load(name: str, *, trained: bool = True) -> nn.Module:
    """The network of that name, in evaluation mode.

    Args:
        name: one of `checkpoints()`.
        trained: False gives its untrained twin, the weights that the training started from, and `calibrate` on
            images of the training.

    Raises:
        ValueError: no checkpoint has that name, or its file is not the one that its card describes.
    """
    made = card(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(made["seed"])
        network = _NETWORKS[made["network"]](**made["arguments"])
    if not trained:
        return calibrate(network, TASKS[made.get("task", "where")].data("train", CALIBRATED))
    path = WEIGHTS / f"{name}.safetensors"
    if (digest := _sha256(path)) != made["sha256"]:
        raise ValueError(
            f"{path} is damaged: its SHA-256 is {digest}, its card says {made['sha256']}"
        )
    return load_weights(network, path).eval()


def load_weights(network: nn.Module, path: str | Path) -> nn.Module:
    """Fill `network` from a safetensors file and return it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut short or no safetensors file, or it belongs to another network.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint file {path}")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is damaged or no safetensors file ({path.stat().st_size} bytes): {error}"
        ) from error
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"{path} holds weights of another network than {type(network).__name__}: {error}"
        ) from error
    return network


def save(network: nn.Module, path: Path, made: dict) -> None:
    """Write a network's weights to `path`, and `made` with their SHA-256 to a card beside it."""
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    path.with_suffix(".json").write_text(
        json.dumps(rounded(made) | {"sha256": _sha256(path)}, indent=1) + "\n", encoding="utf-8"
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
