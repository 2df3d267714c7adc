"""explore: every frame is made, says what it shows, and is what the function drew."""

import html
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from browsing import picture

from attn_lib.figures import QUANTITIES, FrameExplorer, explore
from attn_lib.figures.frames.frames import size_of

ALT = "A grey square of the chosen brightness."


def square(brightness=0.5, channel="red"):
    image = torch.zeros(3, 4, 6)
    image[["red", "green", "blue"].index(channel)] = brightness
    return image, f"A square, {channel}, of brightness {brightness}."


def curve(power):
    fig, axis = plt.subplots(figsize=(3, 2))
    x = np.linspace(0, 1, 20)
    axis.plot(x, x**power, color=QUANTITIES["score"][0])
    axis.set_title("<b>" if power == 1 else "a power")
    return fig


def words_of_curve(power):
    return f"A curve that rises with the power {power}."


def squares(**changed) -> FrameExplorer:
    choices = {"brightness": [0, 0.25, 0.5, 1.0], "channel": ["red", "green"]}
    return explore(square, **({"alt": ALT} | choices | changed))


def curves(**changed) -> FrameExplorer:
    return explore(curve, **({"alt": words_of_curve, "power": [1, 2, 3, 4]} | changed))


def frame(figure: FrameExplorer, **choice) -> list[str]:
    """The pictures that a page shows for a choice of its grid."""
    return [figure.pictures[i] for i in figure.frames[figure._index(choice)]]


def test_each_frame_is_what_the_function_drew():
    figure = squares()
    assert len(figure.frames) == len(figure.words) == 8
    for brightness in (0, 0.25, 0.5, 1.0):
        for channel in ("red", "green"):
            image, words = square(brightness, channel)
            [url] = frame(figure, brightness=brightness, channel=channel)
            drawn = torch.from_numpy(np.array(picture(url))).permute(2, 0, 1)
            assert torch.equal(drawn, (image * 255).round().byte())
            assert (
                figure.words[figure._index({"brightness": brightness, "channel": channel})]
                == words
            )


def test_pictures_that_frames_share_are_there_once():
    def beside(brightness):
        return {
            "same": square(1)[0],
            "other": square(brightness)[0],
        }, "Two squares side by side."

    figure = explore(beside, alt=ALT, brightness=[0.1, 0.2, 0.3])
    assert figure.panels == ["same", "other"] and len(figure.pictures) == 4
    assert figure.frames == [[0, 1], [0, 2], [0, 3]]


def test_plots_follow_the_page_s_colours_and_their_axes_stay_in_place():
    figure = curves()
    assert plt.get_fignums() == []
    assert figure.alt == words_of_curve(1)
    heads, axes = set(), set()
    for power in (1, 2, 3, 4):
        [svg] = frame(figure, power=power)
        assert f"var(--attn-score, {QUANTITIES['score'][0]})" in svg and "#000000" not in svg
        assert f'aria-label="{words_of_curve(power)}"' in svg
        heads.add(re.search(r'width="\S+" height="\S+" viewBox="[^"]+"', svg)[0])
        axes.add(re.search(r'<path d="M [^"]+"', svg[svg.index("</defs>") :])[0])
    assert len(heads) == len(axes) == 1
    assert "<b>" not in figure.pictures[0] and "&lt;b&gt;" in figure.pictures[0]


def test_ids_in_a_plot_are_only_those_that_it_refers_to():
    [svg, *_] = curves().pictures
    ids = re.findall(r' id="([^"]+)"', svg)
    assert ids and all(f"#{name}" in svg for name in ids)


@pytest.mark.slow
def test_the_published_figure_holds_all_and_text_is_never_markup():
    name = "</script><img src=x onerror=alert(1)>"
    figure = explore(
        lambda x: ({name: square()[0]}, f"four words and {name}"),
        alt=f"a group {name}",
        x=[name, "b"],
    )
    page = figure.to_html()
    assert page.count("<img") == 1 and page.count("</script>") == 1
    found = json.loads(re.search(r'<script type="application/json">(.*)</script>', page)[1])
    assert set(found) == figure._own_traits()
    assert found["panels"] == [name] and found["grid"] == [[name, "b"]]
    assert f'alt="{html.escape(name)}: four words' in page


def test_python_sees_and_sets_the_choice():
    figure, seen = squares(), []
    figure.observe(lambda change: seen.append(change["new"]), "choice")
    figure.choice = {"channel": "green", "brightness": 1}
    assert seen == [{"brightness": 1.0, "channel": "green"}]
    assert isinstance(seen[0]["brightness"], float), "the author's own value"
    for wrong in ({"brightness": 0.3, "channel": "red"}, {"channel": "red"}, {}):
        with pytest.raises(ValueError, match=r"one value of each of .*got \{"):
            figure.choice = wrong
    assert figure.fresh == {}, "all of the grid is there already"


def test_with_a_kernel_the_function_is_called_beyond_the_grid():
    called = []

    def counting(brightness):
        called.append(brightness)
        return square(brightness)

    figure = explore(counting, alt=ALT, live={"brightness": [0.3, 0.5]}, brightness=[0.5, 0.25])
    assert called == [0.5, 0.25] and figure.offered == [[0.5, 0.25, 0.3]]
    figure.choice = {"brightness": 0.3}
    assert called == [0.5, 0.25, 0.3]
    assert figure.fresh["choice"] == {"brightness": 0.3}
    assert figure.fresh["words"] == square(0.3)[1]
    assert np.array(picture(figure.fresh["pictures"][0]))[0, 0].tolist() == [76, 0, 0]
    assert square(0.5)[1] in figure.still(), "a page begins with the first frame of its grid"


def test_an_error_beyond_the_grid_is_shown_and_raised():
    def picky(size):
        if size > 2:
            raise ArithmeticError(f"too large: {size}")
        return torch.zeros(3, size, size), "A black square, all of it."

    figure = explore(picky, alt=ALT, live={"size": [1, 3]}, size=[2])
    with pytest.raises(ArithmeticError, match="too large: 3"):
        figure.choice = {"size": 3}
    assert figure.fresh["choice"] == {"size": 3}
    assert "ArithmeticError: too large: 3" in figure.fresh["error"]
    with pytest.raises(ValueError, match=r"one size.*\(2, 2\).*\(1, 1\)"):
        figure.choice = {"size": 1}
    assert "(1, 1)" in figure.fresh["error"]


def test_a_grid_above_its_budget_is_refused_with_the_number():
    weight = squares().weight()
    assert squares(budget=weight).weight() == weight
    with pytest.raises(
        ValueError, match=rf"weighs {weight:,} bytes .* budget={weight - 1:,}: its 8 frames"
    ):
        squares(budget=weight - 1)


def drawing(result):
    return {"fn": lambda brightness: result}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"brightness": []}, "at least one value of at least one choice"),
        ({"brightness": [0.5, 0.5]}, r"must look different; got \['0.5', '0.5'\]"),
        ({"brightness": [float("nan")]}, "finite number.*brightness has nan"),
        ({"brightness": [None]}, "brightness has None"),
        ({"live": {"hue": [1]}}, r"knows no \['hue'\]"),
        (drawing(torch.zeros(3, 2, 2)), r"0.5\} has no words.*got Tensor"),
        (drawing((torch.zeros(3, 2, 2), "too short")), "at least four words; got 'too short'"),
        (drawing((torch.zeros(1, 2, 2), ALT)), r"image \(3, h, w\).*got \(1, 2, 2\)"),
        (drawing((torch.zeros(3, 2, 2) / 0, ALT)), "not finite"),
        (drawing(("nothing", ALT)), "matplotlib figure.*got str"),
        (drawing(({}, ALT)), "matplotlib figure.*got dict"),
        (drawing(({"a": [1]}, ALT)), "panel 'a'; got list"),
        ({"fn": lambda brightness: (torch.zeros(3, round(4 * brightness), 1), ALT)}, r"\(2, 1\).*0.25\} has .*\(1, 1\)"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_what_came(changed, message):
    arguments = {"alt": ALT, "brightness": [0.5, 0.25]} | changed
    with pytest.raises(ValueError, match=message):
        explore(arguments.pop("fn", square), **arguments)


def test_plots_of_two_sizes_are_refused():
    def growing(size):
        return plt.figure(figsize=(size, 2)), "An empty figure that grows."

    with pytest.raises(ValueError, match=r"\(1.0, 2.0\).*\(2.0, 2.0\)"):
        explore(growing, alt=ALT, size=[1, 2])
    plt.close("all")


def test_sizes_are_those_of_the_pictures():
    assert size_of(plt.figure(figsize=(3, 2))) == (3, 2)
    assert size_of(torch.zeros(3, 4, 5)) == {"": (4, 5)}
    plt.close("all")


@pytest.mark.parametrize(
    "values",
    [
        np.arange(3),
        torch.arange(3),
        list(np.arange(3)),
        np.linspace(0, 1, 3),
        np.array([True, False]),
    ],
)
def test_numbers_of_numpy_and_torch_are_offered_as_python_s(values):
    got = []
    figure = explore(
        lambda k: got.append(k) or torch.zeros(3, 4, 4),
        alt=lambda k: "A black square for each value.",
        k=values,
        live={"k": values[-1:]},
    )
    assert [type(each) for each in figure.offered[0]] == [type(values[0].item())] * len(values)
    assert got == [each.item() for each in values]
