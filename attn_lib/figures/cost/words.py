"""What a CostExplorer says."""

from collections.abc import Mapping, Sequence

PHRASES = {
    "count_label": "Measure",
    "parameters": "parameters",
    "multiply_adds": "multiply-adds",
    "activations": "activation bytes, float32",
    "along_label": "along",
    "side": "side h = w",
    "c": "channels c",
    "r": "reduction r",
    "heads": "heads",
    "side doubled": "when h = w doubles",
    "c doubled": "when c doubles",
    "r doubled": "when r doubles",
    "heads doubled": "when heads double",
    "own": "each its own",
    "stages_label": "Stages of ResNet-18",
    "stages": "ResNet-18: ",
    "stage": "{c} × {side} × {side}",
    "chart": "{title} against {axis}: one line a mechanism, with the numbers in the table below",
    "hint": "Point at the chart, or tap it.",
    "setting": "b = {batch}, c = {c}, h = w = {side}",
    "mechanism": "mechanism",
    "size": "{letter} = {size}",
    "growth": "× {times}",
    "no_growth": "–",
    "chosen_label": "Formula of",
    "formula": "{title} of {name} = ",
    "scaled": "{factor} × (",
    "where": " where ",
}


def told(sizes: Mapping[str, int]) -> str:
    """Sizes as "r = 16, k = 7"."""
    return ", ".join(
        PHRASES["size"].format(letter=letter, size=size) for letter, size in sizes.items()
    )


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """A table for a terminal: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
