"""ChannelExplorer: what each channel's gate is, and what it does to the channel's feature map."""

from collections.abc import Mapping, Sequence

import numpy as np
import traitlets
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ..base import LivingFigure, to_data_url, to_picture
from ..colours import colour_table
from ..skeleton import Tree, root
from ..traits import Whole, validates
from .bars import BAR, FULL, GAP, bars
from .data import as_levels, stack_features, stack_weights
from .elements import choices, key, settings, words
from .maps import Maps, image_tree, scale_tree, sum_trees
from .plot import plot
from .view import PHRASES, View, describe

SIDE = 160  # pixels of a picture's longer side, at most
BUDGET = 150_000  # bytes of one figure, compressed


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
    phrases = PHRASES
    constants = {"BAR": BAR, "GAP": GAP, "FULL": FULL}

    image_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    pictures = traitlets.List(
        traitlets.Unicode()
    )  # data URLs: a script finds them in the skeleton
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
    grid = traitlets.List(Whole()).tag(sync=True)  # h and w of the features, or empty
    colours = traitlets.Bytes().tag(sync=True)  # 256 × RGB
    image = Whole().tag(sync=True, changes=True)
    series = Whole().tag(sync=True, changes=True)
    channel = Whole().tag(sync=True, changes=True)
    sorted = traitlets.Bool().tag(sync=True, changes=True)

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
        self._weights = stack_weights(weights, len(images), branches)
        levels, scales = as_levels(stack_features(features, weights, self._weights.shape))
        self._levels, self._scales = levels, scales
        self._pictures = pictures = [to_picture(picture) for picture in images.values()]
        for picture in pictures:
            picture.thumbnail((SIDE, SIDE))
        # A place with room for each.
        self._size = max(
            (picture.size for picture in pictures), key=lambda size: size[1] / size[0]
        )
        if channel is None:
            channel = int(self._weights[0, :, 0].std(axis=0).argmax())
        super().__init__(
            alt=alt,
            image_names=list(images),
            pictures=[to_data_url(picture, quality=90) for picture in pictures],
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
        self.require_budget(
            BUDGET,
            f"with features of shape {levels.shape} (series, images, parts, c, h, w), show fewer images or "
            "smaller maps",
        )

    @validates("image", "series", "channel")
    def _check_choice(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        counts = zip(("series", "image", "parts", "channel"), self._weights.shape, strict=True)
        count = dict(counts)[name]
        if not 0 <= value < count:
            raise ValueError(f"{name} must be one of {count}, 0 to {count - 1}; got {value}")
        return value

    def order(self) -> np.ndarray:
        """The channels from left to right."""
        return self.view().order

    def maps(self) -> np.ndarray:
        """The chosen channel's feature maps as drawn (parts + 1, h, w): those before, and the one after."""
        low, high = self._scales[self.series, self.channel]
        levels = self._levels[self.series, self.image, :, self.channel]
        before = low + levels / 255 * (high - low)
        weights = self._weights[self.series, self.image, :, self.channel]
        return np.concatenate([before, (weights[:, None, None] * before).sum(0, keepdims=True)])

    def describe(self) -> str:
        """The chosen channel's weights, and how they compare with those of other images and channels."""
        return describe(self.view())

    def view(self) -> View:
        """What is chosen."""
        return View(
            weights=self._weights[self.series],
            image=self.image,
            channel=self.channel,
            ranked=self.sorted,
            branches=self.branches,
            images=self.image_names,
            kind=self.kind,
        )

    def skeleton(self, live: bool = False) -> Tree:
        view = self.view()
        return root(
            "attn-channel-explorer",
            self.alt,
            choices(view, self.pictures),
            settings(view, self.series_names, self.series),
            bars(view),
            key(view),
            words(view),
            *(self._sum(view) if self.grid else ()),
        )

    def plot(self) -> Figure:
        return plot(
            self.view(), self._pictures[self.image], self._maps() if self.grid else None
        )

    def _maps(self) -> Maps:
        scale = self._scales[self.series, self.channel]
        return Maps(self.maps(), scale, self._scales.reshape(-1, 2))

    def _sum(self, view: View) -> list[Tree]:
        maps = self._maps()
        shown = image_tree(view, self.pictures[self.image], self._size)
        return [
            ["div", {"class": "attn-sum"}, shown, *sum_trees(view, maps)],
            ["div", {"class": "attn-foot"}, scale_tree(view, maps)],
        ]
