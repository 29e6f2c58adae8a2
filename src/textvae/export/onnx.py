"""Graphs to ONNX files: exported, their weights stored in 8 bits where the run stores them so, and checked."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textvae.export.graphs import DYNAMIC, Graph
from textvae.runs.quantize import SCALE
from textvae.utils.errors import UserError
from textvae.utils.files import written_whole

OPSET = 20
TOLERANCE = 1e-3
"""Largest difference between torch and ONNX Runtime in an output, relative to the largest number in it."""


def write_graph(graph: Graph, path: Path, stored: Mapping[str, Tensor]) -> None:
    """Exports a graph to a single file, and compares what ONNX Runtime computes at another batch size with torch.

    Args:
        graph: to export.
        path: of the file.
        stored: the weights as the run stores them: int8 matrices with scales, or floating point. Matrices that are
            int8 there are int8 in the file, so that ONNX Runtime unpacks the very numbers that Python does.

    Raises:
        UserError: the extra is not installed, or the results differ.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UserError(f"export needs the package {error.name}", "pip install 'textvae[export]'") from None
    names = list(graph.inputs)
    dynamic = tuple(dict.fromkeys(graph.dynamic.get(name, ()), DYNAMIC) or None for name in names)
    with _quiet():
        program = torch.onnx.export(
            graph.module.eval(),
            tuple(graph.inputs.values()),
            dynamo=True,
            dynamic_shapes=dynamic,
            input_names=names,
            output_names=[graph.output],
            opset_version=OPSET,
            external_data=False,
        )
    assert program is not None
    model = _with_int8(program.model_proto, stored)
    onnx.checker.check_model(model)
    with written_whole(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
    _check(graph, onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]), path)


def _with_int8(model: "onnx.ModelProto", stored: Mapping[str, Tensor]) -> "onnx.ModelProto":
    """The graph with weights that are stored in 8 bits as int8 initializers behind DequantizeLinear."""
    from onnx import helper, numpy_helper

    graph = model.graph
    kept, nodes = [], []
    for initializer in graph.initializer:
        name = next((name for name in _names(initializer.name) if name + SCALE in stored), None)
        if name is None or list(initializer.dims) != list(stored[name].shape):
            kept.append(initializer)
            continue
        packed, scale = stored[name].numpy(), stored[name + SCALE].float().numpy()
        same = _unpacked(packed, scale) == numpy_helper.to_array(initializer)
        assert same.all(), f"{initializer.name} is not what the run stores"
        own = initializer.name
        kept += [numpy_helper.from_array(packed, f"{own}.int8"), numpy_helper.from_array(scale, f"{own}.scale")]
        nodes.append(helper.make_node("DequantizeLinear", [f"{own}.int8", f"{own}.scale"], [own], axis=0))
    del graph.initializer[:]
    graph.initializer.extend(kept)
    before = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *before])
    # What the exporter knows of the shapes between nodes is not needed, and is half of a small file.
    del graph.value_info[:]
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    return model


def _names(initializer: str) -> Iterator[str]:
    """Names under which a graph's weight may be stored: the graph's own modules stand in front, or not."""
    for prefix in ("", "model."):
        if initializer.startswith(prefix):
            yield initializer.removeprefix(prefix)


def _unpacked(packed: NDArray[np.int8], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    return packed.astype(np.float32) * scale.reshape(-1, *(1 for _ in packed.shape[1:]))


def _check(graph: Graph, session: "onnxruntime.InferenceSession", path: Path) -> None:
    """At the example's batch size, and at one more than twice that."""
    taken = {one.name for one in session.get_inputs()}
    for repeated in (1, 2):
        inputs = {
            name: _repeated(tensor, graph.dynamic.get(name, ()), repeated) for name, tensor in graph.inputs.items()
        }
        with torch.no_grad():
            expected = graph.module(*inputs.values()).numpy()
        found = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items() if name in taken})[0]
        error = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-9)
        if not error <= TOLERANCE:
            raise UserError(
                f"{path.name} computes other numbers than torch: they differ by {error:.2g}",
                "report this as a defect, with the name of the recipe",
            )


def _repeated(tensor: Tensor, axes: tuple[int, ...], times: int) -> Tensor:
    """A larger batch; the batch axis is the last of the leading dynamic ones, words come after it."""
    if times == 1 or not axes:
        return tensor
    axis = 1 if axes[:2] == (0, 1) and tensor.is_floating_point() and tensor.dim() > 2 and len(tensor) == 2 else 0
    return torch.cat([tensor] * times, dim=axis)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's messages about itself, and without torch's fused path, which ONNX has no operator for."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
        torch.backends.mha.set_fastpath_enabled(fast)
