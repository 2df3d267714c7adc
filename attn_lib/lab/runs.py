"""Many trainings, one file of results: a killed command goes on where it was."""

import json
import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm


def collect(
    path: Path,
    made: dict[str, Any],
    arms: Iterable[str],
    seeds: int,
    run: Callable[[str, int], dict[str, Any]],
    *,
    called: str = "arm",
    progress: bool = True,
) -> dict[str, Any]:
    """Run every arm from seed 0, then every arm from seed 1, …; each run is in `path` once done.

    Args:
        path: of the JSON file, in a folder that is made where it is not there.
        made: how the results are made; the file begins with it. Its "command" may change from call to call:
            the file then names all that added runs, in the form that a shell runs one after the other.
        arms: names of what is compared.
        seeds: how many.
        run: what one arm scores from one seed.
        called: what the file calls an arm.
        progress: whether to show a bar.

    Returns:
        what the file holds: `made`, and the runs, each with its arm and "seed".

    Raises:
        ValueError: the file was begun in another way.
    """
    results = (
        json.loads(path.read_text(encoding="utf-8")) if path.is_file() else made | {"runs": []}
    )
    settings = {key: value for key, value in made.items() if key != "command"}
    if begun := {k: results.get(k) for k, value in settings.items() if results.get(k) != value}:
        now = {key: made[key] for key in begun}
        raise ValueError(
            f"{path} was begun with {begun}; this is {now}. Move it away to begin anew"
        )
    done = {(run[called], run["seed"]) for run in results["runs"]}
    todo = [(arm, seed) for seed in range(seeds) for arm in arms if (arm, seed) not in done]
    if todo and "command" in made:
        asked = results.get("command", made["command"]).split(" && ")
        results["command"] = " && ".join(dict.fromkeys([*asked, made["command"]]))
    path.parent.mkdir(parents=True, exist_ok=True)
    for arm, seed in tqdm(todo, desc=path.stem, disable=not progress):
        results["runs"].append({called: arm, "seed": seed} | rounded(run(arm, seed)))
        beside = path.with_suffix(".part")  # the file is whole whenever the machine stops
        beside.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        os.replace(beside, path)
    return results


def rounded(value: Any) -> Any:
    """Floats to five digits, wherever they are."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, 5) if isinstance(value, float) else value


def machine() -> dict[str, str]:
    """Where and with what a result was made."""
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{torch.get_num_threads()} CPU threads"
    )
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.machine()}, {device}",
    }
