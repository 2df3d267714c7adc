"""Does a map depend on what the network has learned? Forget it layer by layer, from the top, and see.

python -m attn_lib.lab.sanity     makes evidence/sanity.json, of the comparison's checkpoints with a map over positions,
                                  each forgotten in five ways
"""

import copy
import json
from collections.abc import Iterator, Sequence

import scipy.stats
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..data import LocatedImages, cluttered_digits
from ..instruments.localisation import localise
from ..module import AttentionModule
from . import zoo
from .commands import add_folder, as_given, command
from .networks import HostCNN
from .runs import machine
from .scoring import calibrate, look
from .tasks import CALIBRATED

IMAGES, REDRAWS = 1_000, 5


def forgetting(
    model: nn.Module, fresh: nn.Module, data: LocatedImages
) -> Iterator[tuple[str, nn.Module]]:
    """The network, then copies that have forgotten ever more layers, from the classifier down.

    `calibrate` goes over what is forgotten: with the statistics of no image it would go dark, not forget.

    Args:
        model: trained, a `HostCNN`.
        fresh: the same network with other random weights: what a layer is when it has forgotten.
        data: images of the training.

    Yields:
        the name of the layer that is forgotten last ("" at first), and the network, for as long as it lasts: the
        next one is made of it.
    """
    model = copy.deepcopy(model)
    yield "", model
    forgotten = nn.ModuleList()
    layers = [f"features.{i}" for i in range(len(model.get_submodule("features")))]  # type: ignore[arg-type]
    for layer in ("classifier", "readout", "slot", *reversed(layers)):
        part = model.get_submodule(layer)
        if part.state_dict():
            part.load_state_dict(fresh.get_submodule(layer).state_dict())
            forgotten.append(part)
            yield layer, calibrate(model, data, forgotten)


def rank_correlation(
    first: Float[Tensor, "b h w"], second: Float[Tensor, "b h w"]
) -> Float[Tensor, " b"]:
    """Spearman's, over the cells of each map. A uniform map is like none: 0."""
    ranks = [
        torch.from_numpy(scipy.stats.rankdata(m.flatten(1), axis=1)) for m in (first, second)
    ]
    first, second = (rank - rank.mean(1, keepdim=True) for rank in ranks)
    scale = first.norm(dim=1) * second.norm(dim=1)
    return ((first * second).sum(1) / scale.where(scale > 0, torch.inf)).float()


def sanity(
    model: nn.Module, drawn: Sequence[nn.Module], train: LocatedImages, data: LocatedImages
) -> dict[str, list[dict]]:
    """How far each map over positions stays what it was while the network forgets.

    A map that does not change shows the image, not what was learned. A layer above the attention (the
    classifier) cannot change it: only its accuracy falls.

    Args:
        model: trained, a `HostCNN` with an attention over positions.
        drawn: the same network with other random weights, as often as it shall forget.
        train: images of the training, for `calibrate`.
        data: images with boxes.

    Returns:
        for each of `positional_maps`, a row for each layer forgotten: `layer`, and for each of `drawn` in turn
        `similarity` to the trained network's map (`rank_correlation`, averaged over images), `mass` and `hit` of
        `localise`, `accuracy`.

    Raises:
        ValueError: the model has no attention, or the data no boxes.

    Source: Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim, "Sanity Checks for Saliency Maps", NeurIPS 2018,
    section 3, cascading randomisation.
    """
    if data.boxes is None:
        raise ValueError("sanity wants to know where the objects are; these data have no boxes")
    image = tuple(data.images.shape[2:])
    _, trained = look(model, data)
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for fresh in drawn:
        for layer, network in forgetting(model, fresh, train):
            right, maps = look(network, data)
            for name, of in maps.items():
                place = localise(of, data.boxes, image)
                measured = {
                    "similarity": rank_correlation(trained[name], of).mean().item(),
                    "mass": place.mass,
                    "hit": place.hit,
                    "accuracy": right.float().mean().item(),
                }
                row = found.setdefault(name, {}).setdefault(layer, {})
                for measure, value in measured.items():
                    row.setdefault(measure, []).append(round(value, 4))
    return {
        name: [{"layer": layer} | row for layer, row in rows.items()]
        for name, rows in found.items()
    }


def main() -> None:
    parser = command(__doc__)
    add_folder(parser)
    args = parser.parse_args()
    train = cluttered_digits("train", CALIBRATED)
    data, found = cluttered_digits("test", IMAGES, seed=1), {}
    for name in zoo.checkpoints():
        made = zoo.card(name)
        if made.get("task") != "where":
            continue
        model, drawn = zoo.load(name), []
        for redraw in range(REDRAWS):
            torch.manual_seed(1_000 * (1 + redraw) + made["seed"])
            drawn.append(HostCNN(**made["arguments"]))
        if any(isinstance(part, AttentionModule) for part in model.modules()):
            found[name] = sanity(model, drawn, train, data)
    found = {name: rows for name, rows in found.items() if rows}  # channels have no place
    result = (
        {"command": as_given("attn_lib.lab.sanity")}
        | machine()
        | {"images": IMAGES, "redraws": REDRAWS, "maps": found}
    )
    (args.folder / "sanity.json").write_text(
        json.dumps(result, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
