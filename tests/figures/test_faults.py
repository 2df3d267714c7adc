"""FaultExplorer: a fault in the page is the fault in PyTorch, and each is what its name says."""

import json

import numpy as np
import pytest
import torch
from test_network import shaken
from test_skeleton import ALT, break_cbam, break_it, examples
from torch import nn

from attn_lib import CBAM, AttentionPooling, NonLocal, SelfAttention2d, record
from attn_lib.data import cluttered_digits, digit_examples
from attn_lib.figures import FaultExplorer
from attn_lib.figures.playground.faults import FAULTS, plant
from attn_lib.lab import zoo
from attn_lib.lab.networks import HostCNN
from attn_lib.spatial import MODES

BROKEN = ["self_attention", *(f"non_local_{mode}" for mode in MODES), "cbam"]
# Scores of x·x reach 1,200, as in test_network.py; here they are four times as large, too.
MAP_ERROR = {"non_local_gaussian": 3e-3}

RUN = """
window.answers = ([data, faults]) => {
  for (const name in data) if (data[name]?.base64)
    data[name] = new DataView(Uint8Array.from(atob(data[name].base64), c => c.charCodeAt(0)).buffer);
  const model = { get: name => data[name] }, scenes = makeScenes(model), runner = makeRunner(model, scenes);
  const ended = going => { let step = going.next(); while (!step.done) step = going.next(); return step.value; };
  return faults.map(([fault, factor]) => scenes.map((_, i) => {
    const { logits, maps } = ended(runner.say(fault, factor, i));
    return { logits: [...logits], maps: i % 20 ? null : maps.map(({ name, values }) => [name, [...values]]) };
  }));
};
"""


@pytest.fixture(scope="module")
def answers(browser):
    """What the page answers to all scenes of a figure, and every twentieth's maps, for each (fault, factor)."""
    page = browser.new_page()
    page.goto("about:blank")
    page.add_script_tag(content=FaultExplorer._esm.replace("export default", "") + RUN)

    def run(figure: FaultExplorer, faults: list[tuple[str, float]]):
        data = json.loads(figure.to_html().split('json">')[1].split("</script>")[0])
        return page.evaluate("given => answers(given)", [data, faults])

    yield run
    page.close()


def all_of(figure: FaultExplorer) -> list[tuple[str, float]]:
    own = [(name, 1.0) for name in ("", *figure.faults) if name != "scores_times"]
    return own + [("scores_times", factor) for factor in (0.25, 4.0)]


def compare(
    figure: FaultExplorer, answers, logit_error: float, map_error: float, alike: float
) -> None:
    asked = all_of(figure)
    for (fault, factor), said in zip(asked, answers(figure, asked), strict=True):
        figure.factor = factor
        network = figure.broken(fault)
        with torch.no_grad(), record(network) as maps:
            logits = network(figure.images()).numpy()
        ours = np.array([each["logits"] for each in said])
        assert np.abs(ours - logits).max() < logit_error, fault
        assert (ours.argmax(1) == logits.argmax(1)).mean() >= alike, fault
        for i in range(0, len(said), 20):
            for name, values in said[i]["maps"]:
                if name.startswith(figure.where):
                    error = np.abs(np.array(values) - maps[name][i].numpy().ravel()).max()
                    assert error < map_error, (fault, name)


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_in_the_page_is_the_fault_in_pytorch(name: str, answers):
    figure = FaultExplorer(zoo.load(f"host_{name}"), digit_examples("test", 20), alt=ALT)
    compare(figure, answers, 1e-2, MAP_ERROR.get(name, 1e-3), 0.999)


OPTIONS = {
    "self_attention": {"reduction": 3, "value_reduction": 2, "subsample": True, "bias": False},
    "non_local": {
        "mode": "embedded_gaussian",
        "scaled": True,
        "subsample": True,
        "pool_first": True,
    },
    "cbam": {"norm": False},
}


@pytest.mark.parametrize("slot", OPTIONS)
def test_so_it_is_whatever_the_layer_s_options(slot: str, answers):
    network = shaken(
        HostCNN(slot, width=6, num_classes=3, readout="attention", **OPTIONS[slot])
    )
    figure = FaultExplorer(network, examples(), size=(22, 37), alt=ALT)
    assert figure.where == "slot"
    compare(figure, answers, 2e-3 * network(figure.images()).abs().max().item(), 2e-3, 0.9)


def test_scenes_are_like_those_of_the_training_and_hold_each_digit_once():
    figure = FaultExplorer(zoo.load("host_self_attention"), digit_examples("test", 20), alt=ALT)
    ours, theirs = figure.images(), cluttered_digits("test", 200).images
    assert ours.shape == theirs.shape and len(ours.flatten(1).unique(dim=0)) == 200
    assert abs(ours.mean() - theirs.mean()) < 0.02 and abs(ours.std() - theirs.std()) < 0.02
    assert sorted(each.canvas.digit for each in figure._scenes) == list(range(200))
    assert figure.weight() < 110_000
    card = zoo.card("host_self_attention")
    assert abs(figure.cost("").before / 200 - card["accuracy"]) < 0.06


x = torch.randn(3, 16, 4, 5, generator=torch.Generator().manual_seed(0))


def planted(layer: nn.Module, name: str, factor: float = 2.0) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(1))
    return plant(nn.Sequential(layer).eval(), "0", name, factor)[0]


def test_each_fault_of_a_relation_is_what_its_name_says():
    layer = SelfAttention2d(16)
    sound = planted(layer, "")
    with torch.no_grad():
        query, key = sound.query(x), sound.key(x)
        scores = query.flatten(2).mT @ key.flatten(2)
        over_queries = planted(layer, "softmax_over_queries").attention(x)
        assert torch.allclose(over_queries, scores.softmax(1), atol=1e-6)
        asked = query.reshape(3, 20, 2)  # the exercise's bug
        scrambled = (asked @ key.flatten(2)).softmax(2)
        assert torch.allclose(
            planted(layer, "reshaped_queries").attention(x), scrambled, atol=1e-6
        )
        attended = sound.attention(x) @ sound.value(x).flatten(2).mT
        out = x + sound.gamma * attended.reshape(x.shape)
        assert torch.allclose(planted(layer, "reshaped_output")(x), out, atol=1e-5)
        assert torch.equal(planted(layer, "nothing_added")(x), x)
        assert torch.allclose(
            planted(layer, "even_weights").attention(x), torch.full((3, 20, 20), 0.05)
        )
        another = planted(layer, "another_image")
        assert torch.allclose(another.attention(x)[1], sound.attention(x)[0], atol=1e-6)
        assert torch.allclose(
            planted(layer, "scores_times").attention(x), (2 * scores).softmax(2), atol=1e-6
        )
        sound = planted(NonLocal(16), "nothing_added")
        assert torch.equal(sound(x), x)


def test_each_fault_of_cbam_is_what_its_name_says():
    layer = CBAM(16)
    sound = planted(layer, "")
    with torch.no_grad():
        highest = sound.channel.mlp(x.amax((2, 3)))
        gates = planted(layer, "average_is_max").channel(x) / x
        assert torch.allclose(gates[..., 0, 0], (2 * highest).sigmoid(), atol=1e-5)
        assert torch.allclose(
            planted(layer, "channel_gate_lost")(x), sound.spatial(x), atol=1e-6
        )
        twice = planted(layer, "sigmoid_twice").channel.attention(x)
        assert torch.allclose(twice, sound.channel.attention(x).sigmoid())
        stacked = torch.stack([x.mean(1), x.amax(1)], 1)
        gates = sound.spatial.norm(sound.spatial.conv(stacked)).sigmoid()
        assert torch.allclose(
            planted(layer, "averages_first").spatial.attention(x), gates, atol=1e-6
        )
        even = planted(layer, "even_channels").channel.attention(x)
        assert torch.allclose(
            even, sound.channel.attention(x).mean(1, keepdim=True).expand_as(even)
        )
        even = planted(layer, "even_positions").spatial.attention(x)
        assert torch.allclose(even[1, 0, 0, 0], sound.spatial.attention(x)[1].mean())
        others = planted(layer, "another_image")(x)
        assert torch.allclose(others, x * sound.attention(x.roll(1, 0)), atol=1e-6)


def test_the_network_is_left_as_it_was_and_only_what_a_layer_can_have_is_offered():
    network = zoo.load("host_cbam").train()
    figure = FaultExplorer(network, digit_examples("test", 2), fault="averages_first", alt=ALT)
    assert (
        network.training
        and type(network.slot) is CBAM
        and type(network.slot.channel).__name__ == "ChannelGate"
    )
    assert torch.equal(
        figure.broken("").slot.spatial.conv.weight, network.slot.spatial.conv.weight
    )
    assert "softmax_over_queries" not in figure.faults and "averages_first" in figure.faults
    products = FaultExplorer(
        zoo.load("host_non_local_dot_product"), digit_examples("test", 2), alt=ALT
    )
    assert "even_weights" not in products.faults and "reshaped_output" in products.faults
    assert {*figure.faults, *break_it().faults} == {*FAULTS}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: HostCNN("none"),
            r"breaks a SelfAttention2d, a NonLocal or a CBAM; this network has \[\]",
        ),
        (lambda: HostCNN("efficient_channel"), r"this network has \['efficient_channel'\]"),
        (lambda: HostCNN("simam"), "does not know SimAM, the layer 'slot'"),
        (
            lambda: nn.Sequential(SelfAttention2d(8), AttentionPooling(8)),
            "ends in a linear layer",
        ),
    ],
)
def test_what_it_cannot_break_it_refuses(make, said):
    with pytest.raises(ValueError, match=said):
        FaultExplorer(make(), digit_examples("test", 2), alt=ALT)


@pytest.mark.parametrize(
    ("digits", "size", "said"),
    [
        (digit_examples("test", 2), (40, 19), r"want as many at least; got size=\(40, 19\)"),
        (
            2 * digit_examples("test", 2),
            (40, 40),
            r"in \[0, 1\]; got \(10, 2, 8, 8\) from 0 to 2",
        ),
    ],
)
def test_digits_that_have_no_room_or_leave_their_range_are_refused(digits, size, said):
    with pytest.raises(ValueError, match=said):
        FaultExplorer(HostCNN("cbam"), digits, size=size, alt=ALT)


def test_what_is_chosen_is_one_of_what_there_is():
    figure = break_cbam()
    for trait, value in {
        "fault": "softmax_over_queries",
        "factor": 3.0,
        "scene": 12,
        "query": -1,
    }.items():
        with pytest.raises(ValueError, match=f"{trait} .*; got"):
            setattr(figure, trait, value)
    assert figure.fault == "average_is_max"
    with pytest.raises(ValueError, match="no fault 'even_weights'; there are average_is_max, "):
        figure.cost("even_weights")
    with pytest.raises(ValueError, match="fault is one of"):
        FaultExplorer(HostCNN("cbam"), digit_examples("test", 2), fault="even_weights", alt=ALT)


def test_accuracy_does_not_reveal_what_a_fault_is():
    """What the chapters say."""
    cbam = FaultExplorer(zoo.load("host_cbam"), digit_examples("test", 20), alt=ALT)
    lost = cbam.cost("channel_gate_lost")
    assert lost.count == 200 and lost.changed > 3 * abs(lost.before - lost.after)
    attends = FaultExplorer(
        zoo.load("host_self_attention"), digit_examples("test", 20), alt=ALT
    )
    over_queries, even = attends.cost("softmax_over_queries"), attends.cost("even_weights")
    assert over_queries == even, (
        "the host averages over positions, and each key's weights sum to 1"
    )
