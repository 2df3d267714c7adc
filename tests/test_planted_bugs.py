"""Every planted bug is caught. Prints which check catches which: the same checks that hold the library right."""

import functools

import cases
import planted_bugs as planted
import planted_since as since
import pytest
import test_bad_input
import test_engineering
import test_equation
import test_module
import test_parity
import test_parity_channel
import test_parity_nonlocal
import test_parity_relations
import test_parity_since
import torch
from cases import Case

import attn_lib

SHAPE = (2, 64, 9, 11)
# Where the bug lived, and the check that must catch it, whatever else does.
BUGS = {
    planted.SoftmaxOverQueries: ("torchgan", "weights"),
    planted.DividedByRoot: ("many SAGANs", "parity"),
    planted.Tuple: ("notes, self-attention", "any size"),
    planted.GammaOne: ("notes, self-attention", "identity"),
    planted.NoQueryChannels: ("notes, self-attention", "bad input"),
    planted.NoMapWhereFused: ("attention extraction", "weights"),
    planted.BufferOfMaps: ("attention extraction", "no trace"),
    planted.LogitsDividedByInverseRoot: ("mmdetection", "parity"),
    planted.OverTheBatch: ("A² nets", "batch mates"),
    planted.ScrambledPositions: ("c/2 channels viewed as c", "permutation"),
    planted.NotDividedByN: ("non-local ports", "parity"),
    planted.FullWidth: ("notes, non-local", "parameters"),
    planted.NoZeroInitialisation: ("notes, non-local", "identity"),
    planted.NoNormalisation: ("notes, non-local", "identity"),
    planted.SameAsSelfAttention: ("notes, non-local", "parity"),
    planted.NoHiddenUnit: ("notes, SE", "parameters"),
    planted.DotProduct: ("notes, SE", "any size"),
    planted.SevenBySevenOnly: ("BAM ports", "any size"),
    planted.NoSigmoid: ("ECA-Net, figure 3", "weights"),
    planted.BuiltInForward: ("ECA-Net, figure 3", "no trace"),
    planted.OverChannels: ("SK ports", "weights"),
    planted.NoGroups: ("External-Attention's SK", "parameters"),
    planted.BranchesSwapped: ("SK ports", "parity"),
    planted.AverageIsMaximum: ("notes, CBAM", "parity"),
    planted.UnsharedMLP: ("CBAM ports", "parameters"),
    planted.MeanBeforeMaximum: ("CBAM ports", "parity"),
    planted.ShrunkToAConstant: ("BAM ports", "parity"),
    planted.OneByOne: ("notes, CBAM", "parameters"),
    planted.DeadChannelGate: ("notes, CBAM", "gradients"),
    planted.Parallel: ("notes, CBAM", "parity"),
    planted.PositionsFirst: ("CBAM ports", "parity"),
    planted.NoBatchNorm: ("notes, CBAM", "parameters"),
    since.NoSoftmax: ("pytorch-attention's GC", "weights"),
    since.ContextMultiplies: ("timm's default", "parity"),
    since.NoVarianceOfOne: ("the authors' SimAM", "any size"),
    since.EnergyInPlaceOfItsInverse: ("plausible", "parity"),
    since.RowsForColumns: ("plausible", "parity"),
    since.OneDirection: ("plausible", "gradients"),
    since.OverTheOtherChannels: ("plausible", "weights"),
    since.LengthOverChannels: ("plausible", "parity"),
    since.DividedByTemperature: ("XCiT, the equation", "parity"),
    since.LooksAtWhatFillsUp: ("Swin and its ports", "parity"),
    since.BiasOfTheOtherWay: ("plausible", "parity"),
    since.RolledBackTheWrongWay: ("plausible", "parity"),
    since.NotDivided: ("plausible", "weights"),
    since.ReLUFeatures: ("EfficientViT, on purpose", "parity"),
    since.KeysOverTheBatch: ("External-Attention's A² nets", "batch mates"),
}

PARITY = {
    "SelfAttention2d": [(test_parity.test_self_attention_is_torch_attention_without_the_scale, ((2, 16, 9, 11),))],
    "NonLocal": [
        *((test_parity_nonlocal.test_non_local_is_mmcv, (mode, 2, False, 1)) for mode in ("embedded_gaussian", "dot_product")),
        (test_parity_nonlocal.test_the_scaled_form_is_the_default_of_mmcv, (2,)),
    ],
    "SqueezeExcitation": [(test_parity_channel.test_squeeze_excitation_without_biases_is_fightingcv, (SHAPE,))],
    "EfficientChannelAttention": [(test_parity_channel.test_efficient_channel_is_timm_and_so_is_its_kernel, (64,))],
    "SelectiveKernel": [(test_parity_channel.test_selective_kernel_is_pytorchcv, (SHAPE, 2))],
    "ChannelGate": [(test_parity_channel.test_the_gates_are_those_of_fightingcv, (SHAPE,))],
    "SpatialGate": [(test_parity_channel.test_the_gates_are_those_of_fightingcv, (SHAPE,))],
    "CBAM": [(test_parity_channel.test_cbam_is_pytorchcv, (SHAPE,))],
    "SimAM": [(test_parity_since.test_simam_is_fightingcv, (SHAPE, 1e-4))],
    "CoordinateAttention": [(test_parity_since.test_coordinate_attention, (SHAPE, "timm"))],
    "CrossCovarianceAttention": [(test_parity_since.test_cross_covariance_attention_is_timm, (SHAPE, True))],
    "WindowAttention": [(test_parity_relations.test_window_attention_at_any_size_is_the_equation_window_by_window, ((10, 7), 1))],
    "LinearAttention": [(test_parity_relations.test_linear_attention_is_vit_pytorch, (SHAPE,))],
    "GlobalContext": [(test_parity_since.test_global_context_is_mmcv, (SHAPE,))],
}  # fmt: skip
HOMES = (
    test_parity,
    test_parity_channel,
    test_parity_nonlocal,
    test_parity_relations,
    test_parity_since,
    test_bad_input,
    cases,
)


def parity(case: Case, name: str) -> None:
    for check, arguments in PARITY[name]:
        check(*arguments)


def bad_input(case: Case, name: str) -> None:
    for call, says in test_bad_input.ARGUMENTS.values():
        if name in call.__code__.co_names:
            test_bad_input.test_bad_arguments_are_refused(call, says)


def both(check, *arguments):
    def run(case: Case, name: str) -> None:
        for size in ("small", "large"):
            check(case, size, *arguments)

    return run


def any_size(case: Case, name: str) -> None:
    x = case.input()
    assert case.awake()(x).shape == x.shape
    test_equation.test_every_height_and_width_works.hypothesis.inner_test(case, 3, 4)
    test_equation.test_one_position_works(case)


def gradients(case: Case, name: str) -> None:
    if case.parameters:
        both(test_equation.test_every_parameter_learns_but_for_those_that_cannot)(case, name)


def identity(case: Case, name: str) -> None:
    if case.switch:
        both(test_equation.test_a_module_with_a_switch_starts_as_the_identity)(case, name)


CHECKS = {
    "equation": both(test_equation.test_forward_reweights_by_attention, torch.float32),
    "weights": both(test_equation.test_weights_keep_the_promise_of_their_kind),
    "any size": any_size,
    "identity": identity,
    "gradients": gradients,
    "batch mates": both(test_equation.test_a_sample_does_not_see_its_batch_mates, 1e3),
    "permutation": both(test_equation.test_positions_are_interchangeable_just_where_the_mathematics_says),
    "parameters": lambda case, name: test_equation.test_the_parameters_are_as_many_as_the_paper_says(case),
    "record": both(test_module.test_the_map_is_attention_of_the_input),
    "no trace": both(test_engineering.test_a_run_leaves_no_trace),
    "bad input": bad_input,
    "parity": parity,
}  # fmt: skip


def original(bug: type) -> str:
    """The class of the library that a planted one stands in for."""
    if bug is planted.SameAsSelfAttention:
        return "NonLocal"
    return next(
        name for name in (base.__name__ for base in bug.__mro__) if hasattr(attn_lib, name)
    )


def cases_of(name: str) -> list[Case]:
    kind = getattr(attn_lib, name)
    return [case for case in cases.CASES if type(case.make()) is kind]


def caught(check, case: Case, name: str) -> bool:
    torch.manual_seed(0)
    try:
        check(case, name)
    except Exception:  # a crash tells as much as a wrong number
        return True
    except BaseException as failure:  # pytest.raises that saw nothing raised
        return isinstance(failure, pytest.fail.Exception)
    return False


@functools.cache
def verdicts(bug: type | None, name: str) -> set[str]:
    """The checks that fail when `bug` stands wherever the tests meet `name`; with no bug, the library's own."""
    found = set()
    with pytest.MonkeyPatch.context() as patch:
        subjects = cases_of(name)
        for home in HOMES:
            if bug and hasattr(home, name):
                patch.setattr(home, name, bug)
        if bug and name in ("ChannelGate", "SpatialGate"):
            patch.setattr(attn_lib.mixed, name, bug)
        for check, run in CHECKS.items():
            if any(caught(run, case, name) for case in subjects):
                found.add(check)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PARITY))
@pytest.mark.usefixtures("unchecked")
def test_the_library_passes_every_check(name: str):
    assert verdicts(None, name) == set()


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
@pytest.mark.usefixtures("unchecked")
def test_a_planted_bug_is_caught(bug: type):
    found = verdicts(bug, original(bug))
    assert BUGS[bug][1] in found, f"only {found} caught it"


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_the_table_of_bugs_and_checks(capsys):
    rows = ["| bug | lived in | " + " | ".join(CHECKS) + " |", "|" + "---|" * (len(CHECKS) + 2)]
    for bug, (home, _) in BUGS.items():
        found = verdicts(bug, original(bug))
        marks = " | ".join("×" if check in found else " " for check in CHECKS)
        rows.append(f"| {original(bug)}: {bug.__name__} | {home} | {marks} |")
    with capsys.disabled():
        print("\n" + "\n".join(rows))
    assert not any(row.count("×") == 0 for row in rows[2:])
