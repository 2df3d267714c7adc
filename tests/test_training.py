"""Training lowers the loss the same way every time, and the measures measure what they say."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from attn_lib import available, training, zoo
from attn_lib.data import LocatedImages, cluttered_digits
from attn_lib.networks import HostCNN
from attn_lib.training import coverage, evaluate, fit, interval, localise, received

IMAGE = (12, 20)
few = settings(max_examples=50, deadline=None, derandomize=True)
grids = st.tuples(st.integers(1, IMAGE[0]), st.integers(1, IMAGE[1]))


@st.composite
def boxes(draw) -> torch.Tensor:
    left, top = draw(st.integers(0, IMAGE[1] - 1)), draw(st.integers(0, IMAGE[0] - 1))
    right, bottom = draw(st.integers(left + 1, IMAGE[1])), draw(st.integers(top + 1, IMAGE[0]))
    return torch.tensor([[left, top, right, bottom]])


def tiny_run(seed: int = 0, **options) -> tuple[nn.Module, list[float]]:
    torch.manual_seed(0)
    model = HostCNN("self_attention", width=4)
    data = cluttered_digits("train", 256, size=20, fragments=0)
    trace = fit(
        model,
        data,
        steps=80,
        batch_size=32,
        learning_rate=1e-2,
        seed=seed,
        progress=False,
        **options,
    )
    return model, trace


def test_fit_lowers_the_loss():
    model, losses = tiny_run()
    assert len(losses) == 80
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.3
    assert not model.training


def test_the_seed_of_fit_decides_the_order_of_the_images():
    first, again, other = tiny_run()[1], tiny_run()[1], tiny_run(seed=1)[1]
    assert first == again != other


def test_fit_collects_what_watch_sees_before_each_step():
    model, seen = tiny_run(watch=lambda model: model.slot.gamma.item())
    assert len(seen) == 80 and seen[0] == 0
    assert seen[1] != 0 and model.slot.gamma.item() != seen[-1]


@pytest.mark.parametrize("slot", available())
def test_all_but_the_slot_starts_equal_whatever_it_holds(slot: str):
    states = []
    for name in ("none", slot):
        torch.manual_seed(3)
        states.append(HostCNN(name).state_dict())
    without, with_slot = states
    assert set(with_slot) - set(without) == {
        key for key in with_slot if key.startswith("slot.")
    }
    assert all(torch.equal(without[key], with_slot[key]) for key in without)


def test_accuracy_is_the_share_of_right_answers():
    class Brightest(nn.Module):
        slot = nn.Identity()

        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, images):
            return images.mean((2, 3))

    images = torch.eye(3)[[0, 1, 2, 0]][:, :, None, None].expand(4, 3, 2, 2)
    data = LocatedImages(images, torch.tensor([0, 1, 2, 1]), torch.tensor([[0, 0, 1, 1]] * 4))
    assert evaluate(Brightest(), data, batch_size=3) == {"accuracy": 0.75}


@given(box=boxes(), grid=grids)
@few
def test_coverage_sums_to_the_area_of_the_box(box: torch.Tensor, grid: tuple):
    left, top, right, bottom = box[0].tolist()
    shares = coverage(box, grid, IMAGE)
    assert shares.min() >= 0 and shares.max() <= 1 + 1e-6
    cell = IMAGE[0] * IMAGE[1] / (grid[0] * grid[1])
    assert shares.sum().item() * cell == pytest.approx(
        (right - left) * (bottom - top), rel=1e-4
    )


@given(box=boxes(), grid=grids)
@few
def test_a_uniform_map_scores_the_area_of_the_box(box: torch.Tensor, grid: tuple):
    score = localise(torch.ones(1, *grid), box, IMAGE)
    left, top, right, bottom = box[0].tolist()
    assert score.area == pytest.approx(
        (right - left) * (bottom - top) / (IMAGE[0] * IMAGE[1]), rel=1e-4
    )
    assert score.mass == pytest.approx(score.area, rel=1e-4)


def test_coverage_of_a_box_across_cells_is_shared():
    # 2×2 cells of 4×4 pixels; the box covers half of the upper left, a quarter of the lower left.
    assert_close(
        coverage(torch.tensor([[0, 2, 4, 5]]), (2, 2), (8, 8)),
        torch.tensor([[[0.5, 0], [0.25, 0]]]),
    )


def test_localise_scores_maps_made_by_hand():
    right_half = torch.tensor([[4, 0, 8, 8]]).expand(2, 4)
    maps = torch.tensor(
        [[[0.0, 3.0], [1.0, 0.0]], [[6.0, 0.0], [0.0, 2.0]]]
    )  # 3/4 and 1/4 inside; hit and miss
    score = localise(maps, right_half, (8, 8))
    assert (score.mass, score.area, score.hit) == (0.5, 0.5, 0.5)


def test_rows_and_columns_are_not_mixed_up():
    maps = torch.zeros(1, 2, 5)
    maps[0, 0, 3] = 1  # first row, fourth column: x from 12 to 16, y from 0 to 6
    score = localise(maps, torch.tensor([[12, 0, 16, 6]]), IMAGE)
    assert (score.mass, score.hit) == (1.0, 1.0)


def test_received_averages_the_rows():
    weights = torch.eye(4)[[1, 1, 1, 3]][
        None
    ]  # queries 0, 1 and 2 look at 1, query 3 at itself
    everyone = torch.ones(1, 2, 2)
    assert_close(received(weights, everyone), torch.tensor([[[0, 0.75], [0, 0.25]]]))
    only_last_column = torch.tensor([[[0.0, 2.0], [0.0, 2.0]]])  # queries 1 and 3, equally
    assert_close(received(weights, only_last_column), torch.tensor([[[0, 0.5], [0, 0.5]]]))


def test_received_takes_grids_that_are_not_square():
    weights = torch.rand(2, 6, 6).softmax(-1)
    assert_close(received(weights, torch.ones(2, 2, 3)), weights.mean(1).view(2, 2, 3))


def test_received_refuses_queries_that_are_not_the_rows(unchecked):
    with pytest.raises(
        ValueError, match=r"queries of shape \(2, 2, 3\) want .*\(2, 6, 6\); got \(2, 6, 4\)"
    ):
        received(torch.rand(2, 6, 4), torch.ones(2, 2, 3))


def test_the_interval_is_that_of_student():
    # 1, 2, 3, 4: standard error 1.2910 / 2, t(0.975, 3) = 3.1824
    assert interval([1.0, 2.0, 3.0, 4.0]) == pytest.approx((2.5, 2.0543), abs=1e-4)


def test_the_command_makes_a_checkpoint_and_its_card(tmp_path, monkeypatch):
    monkeypatch.setattr(
        training,
        "cluttered_digits",
        lambda *split, **_: cluttered_digits(*split[:1], count=200),
    )
    command = [
        "training",
        "checkpoint",
        "self_attention",
        "--steps",
        "2",
        "--folder",
        str(tmp_path),
    ]
    monkeypatch.setattr("sys.argv", command)
    training.main()
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert zoo.checkpoints() == ["host_self_attention"]
    card, network = zoo.card("host_self_attention"), zoo.load("host_self_attention")
    assert card["seed"] == 0 and card["steps"] == 2 and card["torch"] == torch.__version__
    assert card["command"].startswith(
        "python -m attn_lib.training checkpoint self_attention --steps 2"
    )
    assert (
        evaluate(network, cluttered_digits("test", count=200))["accuracy"] == card["accuracy"]
    )
