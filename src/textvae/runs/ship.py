"""Shipping: a trained run becomes a model of the package."""

from pathlib import Path

from textvae.runs.files import CONFIG
from textvae.runs.quantize import quantized
from textvae.runs.run import Run, open_run, read_config, write_weights
from textvae.utils.files import write_json


def ship(run: str, folder: Path) -> Run:
    """Copies a finished run into a folder of the package, its weights quantized; the copy must then be evaluated.

    Raises:
        UserError: there is no such run, or its weights do not fit into half precision.
    """
    shipped = open_run(run)
    write_weights(folder, quantized(shipped.load_model().state_dict()))
    write_json(folder / CONFIG, read_config(shipped.path))
    return open_run(folder)
