"""show_maps takes what record gives, of every mechanism and of foreign networks, or says what to do."""

import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from attn_lib import SimpleViT, available, record, unwindow
from attn_lib.figures import AttentionExplorer, coarsen, show_maps
from attn_lib.figures.base import PUBLISHING
from attn_lib.lab.networks import HostCNN

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGES = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def as_a_script(monkeypatch):
    monkeypatch.delenv(PUBLISHING)


def relation(*shape: int) -> torch.Tensor:
    return (3 * torch.rand(shape)).softmax(-1)


def recorded(network: nn.Module, images: torch.Tensor = IMAGES) -> dict[str, torch.Tensor]:
    with torch.no_grad(), record(network.eval()) as maps:
        network(images)
    return maps


PLACELESS = {
    "channel_gate",
    "cross_covariance",
    "efficient_channel",
    "selective_kernel",
    "squeeze_excitation",
}


@pytest.mark.parametrize("slot", available())
def test_every_mechanism_is_shown_or_said_to_have_no_place(slot: str, unchecked):
    maps = recorded(HostCNN(slot, width=4))
    if slot in PLACELESS:
        with pytest.raises(ValueError, match=r"'slot' weigh channels.*ChannelExplorer\("):
            show_maps(IMAGES, maps)
        return
    if slot == "window_attention":
        with pytest.raises(ValueError, match="of windows.*attn_lib.unwindow"):
            show_maps(IMAGES, maps)
        maps = {"slot": unwindow(maps["slot"], (10, 10))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CBAM's other half
        figure = show_maps(IMAGES, maps)
    (panel,) = figure.panels
    weights = maps[panel["name"]]
    of_positions = "gate" if weights.ndim == 4 else "readout"
    assert panel["kind"] == (of_positions if weights.shape[-2:] == (10, 10) else "relation")
    assert figure.grid == [10, 10] and panel["name"] in figure.alt


def test_the_image_and_the_map_are_those_of_one_image_of_the_batch():
    maps = recorded(HostCNN("self_attention", width=4))
    for index in range(2):
        figure = show_maps(IMAGES, maps, index=index)
        wanted = maps["slot"][index, 37].view(10, 10).numpy()
        assert np.abs(figure.attention_map("slot", 37) - wanted).max() < wanted.max() / 500
        alone = show_maps(IMAGES[index], maps["slot"][index], alt="x")
        assert alone.images == figure.images and alone.weights == figure.weights


def test_of_cbam_its_spatial_half_is_shown_and_the_rest_is_named():
    with pytest.warns(UserWarning, match="not over positions, and not shown: 'slot.channel'"):
        figure = show_maps(IMAGES, recorded(HostCNN("cbam", width=4)))
    assert [panel["name"] for panel in figure.panels] == ["slot.spatial"]


def test_a_gate_of_every_channel_is_averaged_over_them():
    gate = torch.rand(1, 8, 5, 5)
    figure = show_maps(IMAGES, gate)
    assert np.abs(figure.attention_map("map") - gate[0].mean(0).numpy()).max() < 1e-2


def test_a_readout_is_no_relation():
    figure = show_maps(IMAGES, recorded(HostCNN(width=4, readout="attention")))
    assert [panel["kind"] for panel in figure.panels] == ["readout"]


def test_the_layers_of_a_transformer_become_one_panel_when_they_are_many():
    def network(depth: int) -> nn.Module:
        return SimpleViT(
            image_size=40, patch_size=10, num_classes=4, dim=16, depth=depth, heads=2, mlp_dim=16, dim_head=8
        )  # fmt: skip

    few = show_maps(IMAGES, recorded(network(2)))
    assert [(p["layers"], p["heads"]) for p in few.panels] == [(1, 2), (1, 2)]
    maps = recorded(network(5))
    many = show_maps(IMAGES, maps)
    (panel,) = many.panels
    first, *_, last = maps
    assert panel["name"] == f"{first} … {last}" and (panel["layers"], panel["heads"]) == (5, 2)
    many.layer, many.head = 3, 1
    wanted = list(maps.values())[3][0, 1, 6].view(4, 4).numpy()
    assert np.abs(many.attention_map(panel["name"], 6) - wanted).max() < wanted.max() / 500


@pytest.mark.parametrize("before", [1, 5])
def test_tokens_before_the_positions_are_set_apart(before: int):
    weights = relation(2, 3, 16 + before, 16 + before)
    figure = show_maps(IMAGES, {"attn": weights}, before=None if before == 1 else before)
    assert [(p["name"], p["kind"]) for p in figure.panels] == [
        ("attn", "relation"), ("attn: [CLS]", "readout"),
    ]  # fmt: skip
    figure.head = 2
    for name, row in (("attn", before + 6), ("attn: [CLS]", 0)):
        wanted = weights[0, 2, row, before:]
        wanted = (wanted / wanted.sum()).view(4, 4).numpy()
        assert np.abs(figure.attention_map(name, 6) - wanted).max() < wanted.max() / 500


@pytest.mark.parametrize(
    "shape, n, grid",
    [((30, 40), 12, [3, 4]), ((40, 30), 12, [4, 3]), ((64, 90), 24, [4, 6]), ((48, 64), 49, [7, 7])],
)  # fmt: skip
def test_a_grid_has_the_image_s_shape_or_is_square(shape, n: int, grid: list[int]):
    figure = show_maps(torch.rand(3, *shape), {"attn": relation(1, n, n)})
    assert figure.grid == grid and len(figure.panels) == 1


def test_fewer_keys_than_queries_lie_on_a_coarser_grid():
    maps = recorded(HostCNN("self_attention", width=4, subsample=True))
    assert maps["slot"].shape == (2, 100, 25)
    assert show_maps(IMAGES, maps).panels[0]["cells"] == [5, 5]


def test_grids_of_several_sizes_are_brought_to_the_coarsest():
    fine, coarse = relation(1, 2, 64, 64), relation(1, 2, 16, 16)
    gate = torch.rand(1, 1, 8, 8)
    figure = show_maps(IMAGES, {"fine": fine, "coarse": coarse, "gate": gate})
    assert figure.grid == [4, 4] and [panel["cells"] for panel in figure.panels] == [[4, 4]] * 3
    figure.head = 1
    wanted = coarsen(fine[0, 1])[5].view(4, 4).numpy()
    assert np.abs(figure.attention_map("fine", 5) - wanted).max() < wanted.max() / 500
    pooled = gate[0, 0].view(4, 2, 4, 2).mean((1, 3)).numpy()
    assert np.abs(figure.attention_map("gate") - pooled).max() < 1 / 500


def test_large_relations_are_joined_in_blocks():
    figure = show_maps(IMAGES, {"attn": torch.full((1, 56 * 56, 56 * 56), 56.0**-2)})
    assert figure.grid == [28, 28]


def test_where_heads_differ_their_means_are_shown_with_a_word():
    maps = {"one": relation(1, 3, 16, 16), "two": relation(1, 6, 16, 16)}
    with pytest.warns(UserWarning, match=r"maps have \[3, 6\] heads: their means are shown"):
        figure = show_maps(IMAGES, maps)
    wanted = maps["two"][0].mean(0)[3].view(4, 4).numpy()
    assert np.abs(figure.attention_map("two", 3) - wanted).max() < wanted.max() / 500


def test_half_precision_is_taken():
    weights = relation(1, 2, 49, 49)
    figure = show_maps(IMAGES, weights.bfloat16())
    assert figure.panels[0]["kind"] == "relation"


def test_normalisation_is_undone_and_large_images_shrink_and_small_ones_grow():
    mean, std = (torch.tensor(each)[:, None, None] for each in IMAGENET)
    gate = torch.rand(1, 1, 4, 4)
    plain = show_maps(IMAGES, gate)
    undone = show_maps((IMAGES - mean) / std, gate, normalised=IMAGENET)
    drawn, wanted = (np.asarray(each.pictures[0], int) for each in (undone, plain))
    assert np.abs(drawn - wanted).max() <= 1
    assert show_maps(torch.rand(3, 600, 1200), torch.rand(3, 6)).size == [256, 512]
    assert show_maps(torch.rand(3, 2, 2), gate).size == [4, 4]
    grey = np.asarray(show_maps(torch.rand(1, 8, 8), gate).pictures[0])
    assert (grey[..., 0] == grey[..., 1]).all() and grey.std() > 10


GATE = torch.rand(1, 1, 4, 4)


@pytest.mark.parametrize(
    "image, maps, options, wanted",
    [
        (IMAGES, {}, {}, "got none: run the network within `with record"),
        (IMAGES, [GATE], {}, r"got a list: name them: {str\(i\): weights"),
        (IMAGES, {"a": 1}, {}, "'a' is a int: make it a tensor"),
        (IMAGES, GATE, {"index": 1}, "map 'map' has a batch of 1; index=1 is not in it"),
        (IMAGES, GATE / 0, {}, "of 16 weights of map 'map' are not finite: .*float32"),
        (IMAGES, 3 * GATE - 1, {}, r"goes from .* shares of their size: w\.abs\(\)"),
        (IMAGES, relation(1, 4, 3, 9, 9), {}, r"attn_lib\.unwindow\(maps\['map'\], \(h, w\)\) first"),
        (IMAGES, relation(1, 2, 261, 261), {}, "261 queries.*grid=.*, or before=5 where 5 of them come before 16×16"),
        (IMAGES, relation(1, 16, 16), {"grid": (3, 4)}, r"on a grid \(3, 4\): say grid=\(rows, columns\)"),
        (IMAGES, {"a": relation(1, 25, 25), "b": relation(1, 16, 16)}, {}, r"show one at a time, show_maps\(image, {'a': maps\['a'\]}\)"),
        (4 * IMAGES - 2, GATE, {}, r"wants normalised=\(mean, std\), of ImageNet \(\(0.485"),
        ((255 * IMAGES).byte(), GATE, {}, "got torch.uint8 .*: give image / 255"),
        (IMAGES[0].permute(1, 2, 0), GATE, {}, r"give image\.permute\(2, 0, 1\)"),
        (IMAGES[0, 0], GATE, {}, "is wanted; got torch.float32 of shape"),
    ],
)  # fmt: skip
def test_an_error_names_the_next_step(image, maps, options, wanted: str, unchecked):
    with pytest.raises(ValueError, match=wanted):
        show_maps(image, maps, **options)


def test_the_advice_of_errors_works():
    windows = relation(1, 4, 3, 9, 9)
    assert show_maps(IMAGES, unwindow(windows, (6, 6))).grid == [6, 6]
    assert show_maps(IMAGES, relation(1, 2, 261, 261), before=5).grid == [16, 16]
    w = torch.randn(1, 16, 16)
    assert show_maps(IMAGES, w.abs() / w.abs().sum(-1, keepdim=True)).grid == [4, 4]


def test_its_docstring_s_example_makes_a_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = re.search(r"        with record.*?\n\n", show_maps.__doc__, re.DOTALL)[0]
    code = "\n".join(line.removeprefix("        ") for line in lines.splitlines())
    names = {"record": record, "show_maps": show_maps, "images": (IMAGES - 0.5) / 0.5}
    exec(code, names | {"network": HostCNN("non_local"), "mean": [0.5] * 3, "std": [0.5] * 3})
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert f"<{AttentionExplorer.tag} " in page
