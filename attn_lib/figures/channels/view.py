"""What a ChannelExplorer shows, and how it says it: channel_explorer.js says it alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..numbers import fixed

PHRASES = {
    "hint": "Point at a bar, tap, or press arrow keys.",
    "picture": "picture: {name}",
    "input": "input: {name}",
    "series_label": "Network",
    "sorted": "highest {name} first",
    "previous": "Previous channel",
    "next": "Next channel",
    "slider": "Channel",
    "channel": "channel {channel}",
    "channels": "channels {first} to {last}",
    "ranks": "ranks {first} to {last}",
    "gate": "gate",
    "mean": "mean over the {kind}",
    "even_gate": "0.5, the gate of score 0",
    "even_shares": "equal shares",
    "words": "Channel {channel}: {own}. Over the {images} {kind}: {name} {over}. "
    "Over the {c} channels of {image}: {name} {among}.",
    "own": "{name} {weight}",
    "range": "{low} to {high}, mean {mean}",
    "before": "before",
    "after": "after",
    "together": "together",
    "times": "{weight} ×",
    "plus": "+ ",
    "equals": "=",
    "map": "{caption}: {low} to {high}",
    "lowest": "feature {low}",
    "highest": "{high}, channel {channel}, all {kind}",
}


@dataclass(frozen=True)
class View:
    """What is chosen of a ChannelExplorer.

    Attributes:
        weights: (images, parts, c), of the network.
        image: which of the images, counted from 0.
        channel: which of the channels.
        ranked: whether the channel of the highest weight comes first.
        branches: names of the parts, or nothing, where the only part is a gate.
        images: their names.
        kind: what they stand for, in the plural.
    """

    weights: np.ndarray
    image: int
    channel: int
    ranked: bool
    branches: Sequence[str]
    images: Sequence[str]
    kind: str

    @property
    def parts(self) -> list[str]:
        return list(self.branches) or [PHRASES["gate"]]

    @property
    def own(self) -> np.ndarray:
        """The weights (parts,) of the chosen channel."""
        return self.weights[self.image, :, self.channel]

    @property
    def order(self) -> np.ndarray:
        """The channels from left to right."""
        first = self.weights[self.image, 0]
        return np.argsort(-first, kind="stable") if self.ranked else np.arange(len(first))


def say(phrase: str, **values: object) -> str:
    return PHRASES[phrase].format(**values)


def describe(view: View) -> str:
    """The chosen channel's weights, and how they compare with those of other images and channels."""
    images, _, c = view.weights.shape
    own = (
        say("own", name=name, weight=fixed(weight, 2))
        for name, weight in zip(view.parts, view.own, strict=True)
    )
    return say(
        "words",
        channel=view.channel,
        own=", ".join(own),
        images=images,
        kind=view.kind,
        name=view.parts[0],
        over=_range(view.weights[:, 0, view.channel]),
        c=c,
        image=view.images[view.image],
        among=_range(view.weights[view.image, 0]),
    )


def _range(values: np.ndarray) -> str:
    low, high, mean = (fixed(value, 2) for value in (values.min(), values.max(), values.mean()))
    return say("range", low=low, high=high, mean=mean)
