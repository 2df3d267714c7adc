"""ChannelExplorer: what each channel's gate is, and what it does to the channel's feature map."""

import html
from collections.abc import Mapping, Sequence

import numpy as np
import traitlets
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..base import LivingFigure, to_data_url, to_picture
from ..colours import colour_bar, colour_table
from .data import (
    bars,
    quantise,
    require_features,
    require_weights,
)

SIDE = 160  # pixels of a picture's longer side, at most
BUDGET = 150_000  # bytes of one figure, compressed
HINT = "☞ Point at a bar, tap, or press arrow keys."


class ChannelExplorer(LivingFigure):
    r"""The gates of a layer's channels as bars; the chosen channel's feature map before and after.

    $$ y_c = s_c \cdot x_c \qquad\text{or, with branches,}\qquad y_c = \sum_m A_{mc}\, U_{mc} $$

    It takes what `attention(x)` of a channel gate or of a selective kernel gives. With branches the bars are
    their shares, stacked. Marks say the mean over the images. Point at a bar to see its channel; click, tap
    or press the arrow keys to choose it. `channel`, `image` and `series` are what is chosen, counted from 0
    (channel 7 is x[:, 7]), and `sorted` is the order of the bars: set them from Python or `observe` them.

    Args:
        images: a name and its picture (3, h, w), values in [0, 1]. For gates averaged over a class, the
            class's name and an example.
        weights: a name ("trained", "untrained") and the weights of the images under it: gates (images, c)
            or (images, c, 1, 1), each in [0, 1], or shares (images, branches, c), which sum to 1.
        features: under the same names, what is reweighted: (images, c, h, w), or with branches
            (images, branches, c, h, w). None draws no feature maps. They are kept as 256 levels between a
            channel's lowest and highest value over all images, 0 included.
        branches: the names of the branches, where the weights are shares.
        kind: what the images stand for, in the plural: "images", or "classes".
        alt: what one sees in the first picture.
        channel: the one chosen first; None means the one whose weight differs most between the images.

    Raises:
        ValueError: a gate is not in [0, 1], shares do not sum to 1, a number is not finite, the counts of
            images, branches or channels do not match, or the figure would weigh more than 150,000 bytes.
    """

    name = "channel_explorer"

    image_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    pictures = traitlets.List(traitlets.Unicode()).tag(sync=True)  # data URLs
    series_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    kind = traitlets.Unicode().tag(sync=True)
    branches = traitlets.List(traitlets.Unicode()).tag(sync=True)  # empty: gates
    weights = traitlets.Bytes().tag(sync=True)  # float32 (series, images, parts, c)
    features = traitlets.Bytes().tag(
        sync=True
    )  # uint8 (series, images, parts, c, h, w) or empty
    scales = traitlets.Bytes().tag(
        sync=True
    )  # float32 (series, c, 2): lowest and highest value
    grid = traitlets.List(traitlets.Int()).tag(sync=True)  # h and w of the features, or empty
    colours = traitlets.Bytes().tag(sync=True)  # 256 × RGB
    image = traitlets.Int().tag(sync=True)
    series = traitlets.Int().tag(sync=True)
    channel = traitlets.Int().tag(sync=True)
    sorted = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        images: Mapping[str, Float[Tensor, "3 _h _w"]],
        weights: Mapping[str, Float[Tensor, "..."]],
        *,
        alt: str,
        features: Mapping[str, Float[Tensor, "..."]] | None = None,
        branches: Sequence[str] = (),
        kind: str = "images",
        channel: int | None = None,
        image: int = 0,
        series: int = 0,
        sorted: bool = False,
    ):
        self._weights = require_weights(weights, len(images), branches)
        levels, scales = quantise(require_features(features, weights, self._weights.shape))
        self._levels, self._scales = levels, scales
        self._pictures = [to_picture(picture) for picture in images.values()]
        for picture in self._pictures:
            picture.thumbnail((SIDE, SIDE))
        if channel is None:
            channel = int(self._weights[0, :, 0].std(axis=0).argmax())
        super().__init__(
            alt=alt,
            image_names=list(images),
            pictures=[to_data_url(picture, quality=90) for picture in self._pictures],
            series_names=list(weights),
            kind=kind,
            branches=list(branches),
            weights=self._weights.astype("<f4").tobytes(),
            features=levels.tobytes(),
            scales=scales.astype("<f4").tobytes(),
            grid=list(levels.shape[4:]),
            colours=colour_table(),
            image=image,
            series=series,
            channel=channel,
            sorted=sorted,
        )
        if (weight := self.weight()) > BUDGET:
            raise ValueError(
                f"a figure weighs at most {BUDGET} bytes; with features of shape {levels.shape} (series, "
                f"images, parts, c, h, w) this one weighs {weight}: show fewer images or smaller maps"
            )

    @traitlets.validate("image", "series", "channel")
    def _check_choice(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        counts = zip(("series", "image", "parts", "channel"), self._weights.shape, strict=True)
        count = dict(counts)[name]
        if not 0 <= value < count:
            raise ValueError(f"{name} must be one of {count}, 0 to {count - 1}; got {value}")
        return value

    def order(self) -> np.ndarray:
        """The channels from left to right."""
        first = self._weights[self.series, self.image, 0]
        return np.argsort(-first, kind="stable") if self.sorted else np.arange(len(first))

    def maps(self) -> np.ndarray:
        """The chosen channel's feature maps as drawn (parts + 1, h, w): those before, and the one after."""
        low, high = self._scales[self.series, self.channel]
        levels = self._levels[self.series, self.image, :, self.channel]
        before = low + levels / 255 * (high - low)
        weights = self._weights[self.series, self.image, :, self.channel]
        return np.concatenate([before, (weights[:, None, None] * before).sum(0, keepdims=True)])

    def describe(self) -> str:
        """The chosen channel's weights, and how they compare with those of other images and channels."""
        weights = self._weights[self.series]
        names = self.branches or ["gate"]
        own = ", ".join(
            f"{name} {weight:.2f}"
            for name, weight in zip(names, weights[self.image, :, self.channel], strict=True)
        )
        count, c = weights.shape[0], weights.shape[2]
        over, among = _range(weights[:, 0, self.channel]), _range(weights[self.image, 0])
        image = self.image_names[self.image]
        return (
            f"Channel {self.channel}: {own}. Over the {count} {self.kind}: {names[0]} {over}. "
            f"Over the {c} channels of {image}: {names[0]} {among}."
        )

    def still(self) -> str:
        # The elements that channel_explorer.js makes, so that nothing moves when it takes over.
        return (
            '<div class="attn-living attn-channel-explorer attn-still" role="group" '
            f'aria-label="{html.escape(self.alt)}">{self._choices()}{self._controls()}'
            f'<div class="attn-bars">{self._bars()}</div>{self._key()}'
            f'<div class="attn-words">{html.escape(self.describe())}</div>'
            f"{self._sum() if self.grid else ''}</div>"
        )

    def _choices(self) -> str:
        choices = "".join(
            f'<label class="attn-choice"><img src="{url}" alt="picture: {html.escape(name)}"><span>'
            f'<input type="radio"> <span aria-hidden="true">{html.escape(name)}</span></span></label>'
            for name, url in zip(self.image_names, self.pictures, strict=True)
        )
        return f'<form><div class="attn-choices" role="radiogroup" aria-label="{html.escape(self.kind)}">{choices}</div></form>'

    def _controls(self) -> str:
        options = "".join(f"<option>{html.escape(name)}</option>" for name in self.series_names)
        series = f'<label class="attn-control">Network <select>{options}</select></label>'
        first = html.escape(self.branches[0] if self.branches else "gate")
        return (
            f'<div class="attn-controls">{series if len(self.series_names) > 1 else ""}'
            f'<label class="attn-control"><input type="checkbox"> highest {first} first</label>'
            '<span class="attn-steps"><button type="button" class="attn-button">Previous channel</button> '
            '<button type="button" class="attn-button">Next channel</button></span></div>'
        )

    def _bars(self) -> str:
        order = self.order()
        weights = self._weights[self.series]
        return bars(weights[self.image], weights.mean(axis=0), order, self.channel, self.sorted)

    def _key(self) -> str:
        names = self.branches or ["gate"]
        keys = "".join(
            f"<span>{_swatch('attn-part', 'M0 0H20V20H0z', 1 - part / len(names))} {html.escape(name)}</span>"
            for part, name in enumerate(names)
        )
        level = "equal shares" if self.branches else "0.5, the gate of score 0"
        return (
            f'<div class="attn-foot">{keys}<span>{_swatch("attn-mean", "M0 10H20")} mean over the {html.escape(self.kind)}</span>'
            f"<span>{_swatch('attn-level', 'M0 10H20')} {level}</span>"
            f'<span class="attn-hint">{HINT}</span></div>'
        )

    def _sum(self) -> str:
        name, picture = html.escape(self.image_names[self.image]), self._pictures[self.image]
        terms = _picture(name, self.pictures[self.image], f"input: {name}", picture.size)
        low, high = self._scales[self.series, self.channel]
        colours = np.frombuffer(self.colours, np.uint8).reshape(256, 3)
        weights = self._weights[self.series, self.image, :, self.channel]
        signs = [f"{'+ ' if part else ''}{weight:.2f} ×" for part, weight in enumerate(weights)]
        captions = [*(self.branches or ["before"]), "together" if self.branches else "after"]
        for sign, caption, values in zip([*signs, "="], captions, self.maps(), strict=True):
            share = (values - low) / ((high - low) or 1)
            drawn = Image.fromarray(colours[np.floor(255 * share + 0.5).astype(np.uint8)])
            words = html.escape(f"{caption}: {values.min():.2f} to {values.max():.2f}")
            term = _picture(html.escape(caption), to_data_url(drawn), words, drawn.size)
            terms += f'<div class="attn-term"><span class="attn-sign">{sign}</span>{term}</div>'
        over = f"channel {self.channel}, all {html.escape(self.kind)}"
        return (
            f'<div class="attn-sum">{terms}</div><div class="attn-foot"><div class="attn-scale">'
            f"<span>feature {low:.2f}</span> {colour_bar()} <span>{high:.2f}, {over}</span></div></div>"
        )


def _range(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}, mean {values.mean():.2f}"


def _swatch(kind: str, path: str, opacity: float = 1) -> str:
    return f'<svg class="attn-swatch" viewBox="0 0 20 20" aria-hidden="true"><path class="{kind}" d="{path}" fill-opacity="{opacity:.2g}"/></svg>'


def _picture(caption: str, url: str, alt: str, size: tuple[int, int]) -> str:
    return (
        f'<figure><img src="{url}" alt="{alt}" width="{size[0]}" height="{size[1]}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
