"""The contrastive losses, against others' code and against what their equations promise."""

import math
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import NTXentLoss
from torch import Tensor
from torch.testing import assert_close

from attn_lib import averaged_contrast, info_nce

few = settings(max_examples=30, deadline=None, derandomize=True)


def views(n: int, d: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(n * 100 + d)
    return torch.randn(n, d), torch.randn(n, d)


@given(
    n=st.integers(2, 9),
    d=st.integers(1, 17),
    temperature=st.sampled_from([0.05, 0.1, 0.5, 2.0]),
)
@few
def test_info_nce_is_the_ntxent_of_metric_learning(n: int, d: int, temperature: float):
    first, second = views(n, d)
    labels = torch.arange(n).repeat(2)
    oracle = NTXentLoss(temperature=temperature)(torch.cat([first, second]), labels)
    assert_close(info_nce(first, second, temperature), oracle, atol=1e-5, rtol=1e-5)


@given(n=st.integers(2, 6), d=st.integers(1, 8))
@few
def test_info_nce_is_its_equation(n: int, d: int):
    first, second = views(n, d)
    z = torch.cat([first, second]).double()
    z = z / z.norm(dim=1, keepdim=True)
    losses = []
    for i in range(2 * n):
        scores = [math.exp(z[i] @ z[k] / 0.1) for k in range(2 * n) if k != i]
        losses.append(-math.log(math.exp(z[i] @ z[(i + n) % (2 * n)] / 0.1) / sum(scores)))
    assert info_nce(first, second).item() == pytest.approx(sum(losses) / len(losses), abs=1e-4)


def test_info_nce_sees_directions_only_and_does_not_care_for_order():
    first, second = views(5, 8)
    order = torch.randperm(5)
    loss = info_nce(first, second)
    assert_close(info_nce(3 * first, second), loss)
    assert_close(info_nce(second, first), loss)
    assert_close(info_nce(first[order], second[order]), loss)
    assert info_nce(first, first) < loss


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e4])
def test_info_nce_is_finite_at_any_scale(scale: float):
    first, second = (scale * view for view in views(4, 8))
    first.requires_grad_()
    loss = info_nce(first, second, temperature=0.01)
    assert loss.isfinite() and torch.autograd.grad(loss, first)[0].isfinite().all()


def test_a_hard_negative_is_pushed_harder_than_an_easy_one_by_info_nce_alone():
    # Seen from (1, 0, 0), a hard negative stands at 30 degrees, an easy one at 100, each in a plane of its own.
    hard, easy = math.radians(30), math.radians(100)
    things = [
        [1, 0, 0],
        [math.cos(hard), math.sin(hard), 0],
        [math.cos(easy), 0, math.sin(easy)],
    ]
    first, second = torch.tensor(things, requires_grad=True), torch.tensor(things)
    _, toward_hard, toward_easy = torch.autograd.grad(info_nce(first, second), first)[0][0]
    assert toward_hard / math.sin(hard) > 100 * toward_easy / math.sin(easy) > 0
    scores = F.cosine_similarity(first[:1], second)
    loss = averaged_contrast(scores, torch.tensor([True, False, False]))
    _, toward_hard, toward_easy = torch.autograd.grad(loss, first)[0][0]
    assert_close(toward_hard / math.sin(hard), toward_easy / math.sin(easy))


@given(b=st.integers(2, 40))
@few
def test_the_averaged_form_is_softplus_of_the_difference_of_means(b: int):
    torch.manual_seed(b)
    scores, same = 3 * torch.randn(b), torch.arange(b) % 2
    gap = scores[same == 0].mean() - scores[same == 1].mean()
    assert_close(averaged_contrast(scores, same), F.softplus(gap))
    assert_close(averaged_contrast(scores, same == 1), F.softplus(gap))


def test_the_averaged_form_starts_at_the_logarithm_of_two():
    same = torch.tensor([True, False] * 64)
    assert averaged_contrast(torch.zeros(128), same).item() == pytest.approx(math.log(2))


BAD = {
    "one pair": (lambda: info_nce(torch.randn(1, 4), torch.randn(1, 4)), "n >= 2; got (1, 4) and (1, 4)"),
    "other shapes": (lambda: info_nce(torch.randn(3, 4), torch.randn(2, 4)), "got (3, 4) and (2, 4)"),
    "one axis": (lambda: info_nce(torch.randn(4), torch.randn(4)), "got (4,) and (4,)"),
    "integers": (lambda: info_nce(torch.ones(2, 4).long(), torch.ones(2, 4).long()), "got torch.int64"),
    "a temperature of 0": (lambda: info_nce(torch.randn(2, 4), torch.randn(2, 4), 0.0), "temperature=0.0"),
    "all alike": (lambda: averaged_contrast(torch.randn(4), torch.ones(4).long()), "got 4 of 1 and 0 of 0 among 4"),
    "none alike": (lambda: averaged_contrast(torch.randn(4), torch.zeros(4).bool()), "got 0 of 1 and 4 of 0 among 4"),
    "a label of 2": (lambda: averaged_contrast(torch.randn(3), torch.tensor([0, 1, 2])), "got 1 of 1 and 1 of 0 among 3"),
    "a column of scores": (lambda: averaged_contrast(torch.randn(4, 1), torch.ones(4).bool()), "of shape (4, 1) and labels of shape (4,)"),
    "fewer labels": (lambda: averaged_contrast(torch.randn(4), torch.ones(3).bool()), "(4,) and labels of shape (3,)"),
    "no pairs": (lambda: averaged_contrast(torch.randn(0), torch.ones(0).bool()), "got 0 of 1 and 0 of 0 among 0"),
}  # fmt: skip


@pytest.mark.parametrize("call, says", BAD.values(), ids=BAD)
def test_what_has_no_loss_is_refused(call, says: str, unchecked):
    with pytest.raises(ValueError, match=re.escape(says)):
        call()
