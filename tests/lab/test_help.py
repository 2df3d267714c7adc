"""Every command says its defaults, and nothing else that it would do by itself is a surprise."""

import argparse
import importlib
import sys

import pytest

from attn_lib.lab.commands import as_given

COMMANDS = [
    *(f"attn_lib.lab.{name}" for name in ("agreement", "comparison", "dino_maps", "sanity")),
    "attn_lib.lab.verification",
    "attn_lib.lab.heads",
    "attn_lib.lab.vit_curves",
    "attn_lib.lab.vit_digits",
    "mechanisms",  # of benchmarks
    "resnet50",  # of recipes
    "ten_minutes",
]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_default(name: str, monkeypatch):
    parsers: list[argparse.ArgumentParser] = []

    def asked(parser: argparse.ArgumentParser, *_) -> None:
        parsers.append(parser)
        raise KeyboardInterrupt

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", asked)
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module(name).main()
    (parser,) = parsers
    said = "".join(parser.format_help().split())
    for action in parser._actions:
        assert action.help, action.dest
        if action.option_strings and action.default is not argparse.SUPPRESS:
            assert f"(default:{action.default})".replace(" ", "") in said, action.dest


def test_a_command_is_told_as_it_was_given(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x.py", "where", "--folder", "my results"])
    assert as_given("a.b") == "python -m a.b where --folder 'my results'"
