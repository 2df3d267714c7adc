"""The losses compare the same pairs, and only InfoNCE pushes the hard ones harder."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from attn_lib import averaged_contrast, info_nce
from attn_lib.data import cluttered_digits
from attn_lib.lab.encoders import (
    LOSSES,
    TEMPERATURE,
    averaged,
    hard_share,
    train_encoder,
)
from attn_lib.lab.pairs import draw_groups


def test_the_averaged_loss_takes_every_pair_that_info_nce_compares():
    first, second = torch.randn(2, 4, 6)
    views = F.normalize(torch.cat([first, second]), dim=-1)
    pairs = [(i, j) for i in range(8) for j in range(8) if i != j]
    scores = torch.stack([views[i] @ views[j] / 0.1 for i, j in pairs])
    same = torch.tensor([i % 4 == j % 4 for i, j in pairs])
    assert_close(averaged(first, second, 0.1), averaged_contrast(scores, same))
    plain = torch.cat([first, second]) / views.norm(dim=1, keepdim=True)
    scores = torch.stack([plain[i] @ plain[j] for i, j in pairs])
    assert_close(averaged(first, second, None), averaged_contrast(scores, same))


def test_the_averaged_loss_does_not_change_where_negatives_change_and_their_mean_does_not():
    # Views 2 and 3 of one thing turn towards and away from 1 by as much: InfoNCE sees it, the mean does not.
    def of(turn: float, loss) -> torch.Tensor:
        cosines = torch.tensor([0.3 + turn, 0.3 - turn])
        rows = torch.stack([cosines, (1 - cosines**2).sqrt(), torch.zeros(2)], dim=1)
        others = torch.eye(3)[2:]
        one = torch.tensor([[1.0, 0.0, 0.0]])
        first, second = torch.cat([one, rows[:1], others]), torch.cat([one, rows[1:], others])
        views = torch.cat([first, second])
        scores = (views @ views.T)[0]
        if loss == "averaged":
            same = torch.tensor([0, 0, 0, 1, 0, 0])[1:]
            return averaged_contrast(scores[1:] / TEMPERATURE, same)
        return F.cross_entropy(scores[None, 1:] / TEMPERATURE, torch.tensor([2]))

    assert_close(of(0.0, "averaged"), of(0.3, "averaged"))
    assert of(0.3, "info_nce") > of(0.0, "info_nce") + 0.01


def test_hard_share_is_the_share_of_the_softmax_and_the_plain_share():
    angles = torch.tensor([[0.0, 0.0], [0.4, 0.4], [2.0, 2.0]])
    vectors = torch.stack([angles.cos(), angles.sin()], dim=-1)
    # 24 negatives; the 8 between things 1 and 2 are hard.
    shares = hard_share(vectors, hardest=1 / 3)
    assert shares["averaged"] == pytest.approx(1 / 3, abs=1e-5)
    near, far, across = (math.exp(math.cos(angle) / TEMPERATURE) for angle in (0.4, 2.0, 1.6))
    itself = math.exp(1 / TEMPERATURE)
    one = 2 * near / (itself + 2 * near + 2 * far)
    rest = 2 * far / (itself + 2 * near + 2 * far)
    two = 2 * near / (itself + 2 * near + 2 * across)
    more = 2 * across / (itself + 2 * near + 2 * across)
    three = (
        2 * far / (itself + 2 * far + 2 * across),
        2 * across / (itself + 2 * far + 2 * across),
    )
    wanted = (one + two) / (one + rest + two + more + sum(three))
    assert shares["info_nce"] == pytest.approx(wanted, rel=1e-4)


def test_hard_share_differentiates_the_loss_that_trains():
    vectors = F.normalize(torch.randn(5, 2, 8, dtype=torch.float64), dim=-1).requires_grad_()
    gradient = torch.autograd.grad(info_nce(*vectors.unbind(1)), vectors)[0]
    # The push on each pair, carried back to the vectors along their cosines, is that gradient.
    views = torch.cat(list(vectors.detach().unbind(1)))
    scores = views @ views.T / TEMPERATURE
    weights = scores.fill_diagonal_(-torch.inf).softmax(1)
    weights = (weights - torch.eye(10).roll(5, dims=0)) / TEMPERATURE / 10
    toward = (weights + weights.T) @ views
    toward = toward - (toward * views).sum(1, keepdim=True) * views
    assert_close(torch.stack(toward.split(5), dim=1), gradient, atol=1e-7, rtol=1e-5)


@pytest.fixture(scope="module")
def groups():
    data = cluttered_digits("train", 200, size=20, fragments=0)
    chosen = data.labels < 3
    return draw_groups(data.images[chosen], data.labels[chosen])


@pytest.mark.parametrize("objective", LOSSES)
def test_each_loss_trains_an_encoder_the_same_way_every_time(objective: str, groups):
    start, first, again = (
        train_encoder(objective, groups, 3, steps, progress=False) for steps in (0, 20, 20)
    )
    assert all(
        torch.equal(part, other)
        for part, other in zip(first.parameters(), again.parameters(), strict=True)
    )
    loss = LOSSES[objective]

    @torch.no_grad()
    def of(encoder) -> float:
        vectors = encoder(groups.images[groups.members].flatten(0, 2))
        grouped = vectors.unflatten(0, tuple(groups.members.shape))
        return torch.stack([loss(*group.unbind(1)) for group in grouped]).mean().item()

    assert of(first) < of(start)
    assert not first.training
    assert first.classifier.out_features == (3 if objective == "classes" else 32)
