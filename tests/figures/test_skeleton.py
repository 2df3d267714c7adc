"""Whatever its state, a figure is the same three times: still, brought to life on a page, and in Jupyter."""

import base64
import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from browsing import in_jupyter
from playwright.sync_api import Locator, Page

from attn_lib import CBAM, Attention, EfficientChannelAttention, SelfAttention2d
from attn_lib.figures import (
    AttentionExplorer,
    ChannelExplorer,
    CostExplorer,
    FaultExplorer,
    FrameExplorer,
    LivingFigure,
    Playground,
    ShapeTracer,
    explore,
    page_script,
)
from attn_lib.figures.base import FIGURES
from attn_lib.lab.networks import HostCNN

ALT = "What one sees in the figure."


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def relation(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=generator()).pow(4).softmax(-1)


def attention() -> AttentionExplorer:
    image = torch.rand(3, 24, 36, generator=generator())
    return AttentionExplorer(
        image,
        {"all < keys": relation(2, 3, 24, 24), "one": relation(24, 24)},
        gates={"gate": torch.rand(3, 4, generator=generator())},
        grid=(4, 6),
        box=torch.tensor([3, 3, 19, 14]),
        alt=ALT,
    )


def images(strength: float, crossed: bool) -> tuple[dict, str]:
    image = torch.full((3, 4, 5), strength)
    return {"left": image, "right": 1 - image}, f"Strength {strength} & crossed: {crossed}"


def frames() -> FrameExplorer:
    return explore(images, alt=ALT, strength=[0.125, 0.25, 0.375, 0.5], crossed=[False, True])


def eighths(*shape: int) -> torch.Tensor:
    """Numbers in [0, 1] many of which are equal, and many in the middle between two of two digits."""
    return torch.randint(0, 9, shape, generator=generator()) / 8


def pictures() -> dict[str, torch.Tensor]:
    """Of two shapes, and with names that markup could take for its own."""
    names = ("a 0", "a & b, <em>barred</em>", "a 2")
    sizes = ((12, 8), (8, 12), (9, 9))
    return {
        name: torch.rand(3, *size, generator=generator())
        for name, size in zip(names, sizes, strict=True)
    }


def half_gates() -> AttentionExplorer:
    """One layer within a tenth of a percent of one half, the other even."""
    narrow = 0.5 + 0.001 * eighths(1, 1, 4, 6)
    gates = {"half": torch.cat([narrow, torch.full_like(narrow, 0.5)])}
    return AttentionExplorer(torch.rand(3, 24, 36, generator=generator()), gates=gates, alt=ALT)


def gates() -> ChannelExplorer:
    features = 4 * eighths(3, 7, 3, 4) - 2
    return ChannelExplorer(
        pictures(),
        {"trained < 9": eighths(3, 7), "untrained": torch.full((3, 7), 0.5)},
        features={"trained < 9": features, "untrained": torch.zeros(3, 7, 3, 4)},
        alt=ALT,
    )


def shares() -> ChannelExplorer:
    weights = torch.rand(3, 3, 5, generator=generator()).softmax(1)
    return ChannelExplorer(
        pictures(),
        {"one": weights},
        features={"one": torch.randn(3, 3, 5, 4, 4, generator=generator())},
        branches=("3×3", "5×5 & <dilated>", "7×7"),
        kind="classes & kinds",
        alt=ALT,
    )


def many_gates() -> ChannelExplorer:
    return ChannelExplorer(pictures(), {"one": eighths(3, 200)}, alt=ALT)


class Gated(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = CBAM(16)

    def forward(self, x):
        if 2 < x.ndim & 3:
            return x
        x = self.gate(x)
        x = x.mean()
        return x


def shapes() -> ShapeTracer:
    return ShapeTracer(Gated(), torch.zeros(2, 16, 6, 5), alt=ALT)


def costs() -> CostExplorer:
    mechanisms = {
        "<b>all</b> & all": SelfAttention2d(64),
        "CBAM": CBAM(64),
        "heads": Attention(64, 4, 16),
        "ECA": EfficientChannelAttention(64),
    }
    return CostExplorer(mechanisms, (2, 64, 56, 56), alt=ALT)


def shaken(seed: int, slot: str) -> HostCNN:
    """A host whose every part has something to say."""
    torch.manual_seed(seed)
    network = HostCNN(slot, width=4, num_classes=3)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def examples() -> torch.Tensor:
    return torch.randint(0, 17, (3, 4, 8, 8), generator=generator()) / 16


def play() -> Playground:
    networks = {"one < two": shaken(1, "self_attention"), "plain": shaken(2, "none")}
    return Playground(networks, examples(), names=["a & b", "<c>", "d"], alt=ALT)


def play_together() -> Playground:
    slots = ("non_local", "cbam", "selective_kernel", "squeeze_excitation")
    networks = {slot: shaken(i, slot) for i, slot in enumerate(slots)}
    return Playground(networks, examples(), size=(24, 37), side=12, together=True, alt=ALT)


def break_it() -> FaultExplorer:
    return FaultExplorer(
        shaken(1, "self_attention"), examples(), names=["a & b", "<c>", "d"], alt=ALT
    )


def break_cbam() -> FaultExplorer:
    return FaultExplorer(
        shaken(2, "cbam"), examples(), size=(24, 37), fault="average_is_max", alt=ALT
    )


PAINT = base64.urlsafe_b64encode(bytes(90) + b"\xff\x0f" * 10 + bytes(90)).decode()
MOVED = [[i, 2 * i] for i in range(12)]
SAMPLES: dict[str, tuple[Callable[[], LivingFigure], list[dict]]] = {
    "attention": (attention, [
        {},
        {"query": 9, "layer": 0, "head": 2, "direction": "is looked at by", "links": 3, "opacity": 0.125},
        {"query": 23, "cell": 4, "head": None, "links": 8},
        {"cell": 23, "direction": "is looked at by", "opacity": 0.0},
    ]),
    "half_gates": (half_gates, [{}, {"layer": 0, "query": 5}]),
    "gates": (gates, [
        {},
        {"image": 1, "channel": 0},
        {"image": 2, "channel": 6, "sorted": True},
        {"series": 1, "channel": 3},
    ]),
    "shares": (shares, [{}, {"image": 1, "channel": 4, "sorted": True}]),
    "many_gates": (many_gates, [{}, {"image": 2, "channel": 199, "sorted": True}]),
    "costs": (costs, [
        {},
        {"count": "activations", "along": "c", "chosen": "CBAM", "sizes": {"side": 7, "c": 2048, "r": 4, "heads": 16}},
        {"count": "parameters", "along": "r", "chosen": "ECA", "sizes": {"side": 112, "c": 64, "r": None, "heads": 1}},
        {"along": "heads", "chosen": "heads", "sizes": {"side": 10, "c": 32, "r": 16, "heads": 8}},
    ]),
    "play": (play, [
        {},
        {"digit": 7, "place": [1, 20], "side": 14, "scraps": 12, "noise": 0, "query": 55},
        {"network": 1, "scrap_places": MOVED, "paint": PAINT, "noise": 30, "side": 30},
    ]),
    "play_together": (play_together, [{}, {"digit": 11, "place": [4, 20], "query": 30, "scraps": 0}]),
    "break_it": (break_it, [
        {},
        {"fault": "softmax_over_queries", "scene": 5, "query": 55},
        {"fault": "scores_times", "factor": 0.25, "scene": 11},
    ]),
    "break_cbam": (break_cbam, [{}, {"fault": "averages_first", "scene": 3}]),
    "frames": (frames, [{}, {"choice": {"strength": 0.375, "crossed": True}}]),
    "shapes": (shapes, [{}, {"step": 0}, {"step": 2}, {"step": 11}, {"step": 26}]),
}  # fmt: skip
each_state = pytest.mark.parametrize(
    ("make", "state"),
    [
        pytest.param(make, state, id=f"{name}-{i}")
        for name, (make, states) in SAMPLES.items()
        for i, state in enumerate(states)
    ],
)

# An element as one sees and hears it: what is displayed, with the values of controls, not how it came to be.
CANONICAL = """root => {
  const dropped = ["selected", "checked", "value", "open", "data-query", "data-channel", "data-step", "data-tool", "data-shown"];
  const canonical = node => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (getComputedStyle(node).display === "none") return null;
    if (node.dataset?.hole === "picture") return "picture";
    const given = {};
    for (const { name, value } of node.attributes) if (!dropped.includes(name)) given[name] = value;
    if (given["aria-busy"] === "false") delete given["aria-busy"];
    if ("data-live" in given) delete given.style;
    if (given.class !== undefined) given.class = given.class.split(" ").filter(Boolean).sort().join(" ");
    for (const name of ["selectedIndex", "checked", "open"]) if (name in node) given["." + name] = node[name];
    if (node.type === "range") given[".value"] = node.value;
    const children = [];
    for (const child of [...node.childNodes].map(canonical))
      if (typeof child === "string" && typeof children.at(-1) === "string") children.push(children.pop() + child);
      else if (child !== null && child !== "") children.push(child);
    return [node.localName, given, ...children];
  };
  return canonical(root);
}"""
# A figure that runs a network, and has not said all.
WORKING = "[data-tool]:not([data-shown]), .attn-tally[aria-busy=true]"
# Each picture as 12 × 8 colours.
PICTURES = """async root => Promise.all([...root.querySelectorAll("[data-hole=picture] > *")].map(async picture => {
  if (picture.decode) await picture.decode();
  const small = new OffscreenCanvas(12, 8).getContext("2d", { willReadFrequently: true });
  small.imageSmoothingQuality = "high";
  small.drawImage(picture, 0, 0, 12, 8);
  return Array.from(small.getImageData(0, 0, 12, 8).data);
}))"""

TWO_FRAMES = (
    "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
)


def seen(page: Page) -> tuple[list, list[np.ndarray]]:
    page.wait_for_function("[...document.images].every(image => image.complete)")
    page.evaluate(TWO_FRAMES)  # by then scripts know the room that they have
    page.wait_for_function(f"!document.querySelector({WORKING!r})")
    root: Locator = page.locator(".attn-living")
    return root.evaluate(CANONICAL), [np.array(each) for each in root.evaluate(PICTURES)]


@each_state
def test_a_figure_is_the_same_still_alive_and_in_jupyter(alone, make, state):
    figure = make()
    alive = alone(figure, page_script())
    for name, value in state.items():
        alive.evaluate(
            "([name, value]) => document.querySelector('.attn-figure').model.set(name, value)",
            [name, value],
        )
        setattr(figure, name, value)
    still, pictures = seen(alone(figure, ""))
    on_page, drawn = seen(alive)
    assert on_page == still
    for picture, canvas in zip(pictures, drawn, strict=True):
        assert np.abs(picture - canvas).mean() < 8

    jupyter, fresh = alone(figure, "document.body.replaceChildren()"), make()
    data = json.loads(fresh.to_html().split('json">')[1].split("</script>")[0])
    data["_skeleton"] = fresh._skeleton
    # A view that opens late: the state changed after the skeleton was made.
    data |= state
    in_jupyter(jupyter, figure, data, "document.body.style.width = '720px'")
    built, drawn = seen(jupyter)
    assert built == still
    for picture, canvas in zip(pictures, drawn, strict=True):
        assert np.abs(picture - canvas).mean() < 8


def test_every_kind_of_figure_is_held_so():
    assert {type(make()).name for make, _ in SAMPLES.values()} == {
        figure.name for figure in FIGURES
    }
