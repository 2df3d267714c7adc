"""What the library needs beyond its five dependencies, and which extra brings it."""

from importlib.util import find_spec


def require(who: str, extra: str, *packages: str) -> None:
    """Refuse to go on where a package is missing, and say how to get it.

        require("attn_lib.figures", "figures", "matplotlib", "anywidget")

    Args:
        who: needs them, in the words of the message.
        extra: of attn-lib, as pyproject.toml names it.
        packages: as Python imports them.

    Raises:
        ModuleNotFoundError: with all that are missing, and the command that brings them.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        *others, last = missing
        names = f"{', '.join(others)} and {last}" if others else last
        raise ModuleNotFoundError(
            f"{who} needs {names}: pip install 'attn-lib[{extra}]'", name=missing[0]
        )
