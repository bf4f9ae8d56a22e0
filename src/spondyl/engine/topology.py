"""The graphs of networks without weights, with which OpenVINO runs a network without importing torch.

A topology is OpenVINO's own XML of the graph that its PyTorch front end makes, before any folding: every constant is
still a tensor of the state, by name. Bound to the tensors of a `.safetensors` file it is a model. It depends on
the preset, not on the weights; those of all presets are shipped (a few kilobytes each) and recorded again, into the
user's cache, if the source of the network has changed. `python -m spondyl.engine.topology` writes the shipped ones.
"""

from __future__ import annotations

import gzip
import hashlib
import tempfile
import warnings
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spondyl.engine.cache import read_cached, write_cached
from spondyl.errors import WeightsError
from spondyl.nets.presets import NETWORKS, build, network_entry

if TYPE_CHECKING:
    from spondyl.engine.runtime import openvino

__all__ = ["SHIPPED", "bind", "record", "source_digest", "topology"]

SHIPPED = Path(__file__).parent / "topologies"
_ALIGNMENT = 64  # bytes; what OpenVINO's own files use at most
_PREFIX = "self."  # of a tensor's name in the front end's graph
_TYPES = {"f32": np.float32}


def topology(network: str, preset: str) -> bytes:
    """Return the XML of a network's graph: shipped, cached, or recorded now (which imports torch) and cached.

    Raises:
        WeightsError: no network or preset of that name.
    """
    from spondyl.engine.runtime import openvino

    digest = source_digest(network, preset)
    shipped = _read(SHIPPED / f"{network}-{preset}.xml.gz")
    if shipped is not None and ET.fromstring(shipped).get("source") == digest:
        return shipped
    name = f"{network}-{preset}"
    key = f"{name} {digest} {openvino.get_version()}"
    cached = read_cached("topologies", name, key)
    if cached is not None:
        return cached
    xml = record(network, preset)
    write_cached("topologies", name, key, xml)
    return xml


def source_digest(network: str, preset: str) -> str:
    """Compute the sha256 of the files that define the network; a topology is valid for them alone.

    Raises:
        WeightsError: no network or preset of that name.
    """
    texts = [source.read_text("utf-8") for source in network_entry(network, preset).sources]
    return hashlib.sha256("".join(texts).encode()).hexdigest()


def bind(xml: bytes, state: Mapping[str, NDArray[Any]]) -> openvino.Model:
    """Bind a topology to its tensors.

    Args:
        xml: as `topology` returns it.
        state: the network's tensors by name; any float type, used as float32.

    Raises:
        WeightsError: a tensor is missing or of another shape.
    """
    from spondyl.engine.runtime import openvino

    root = ET.fromstring(xml)
    constants = list(_constants(root))
    content = [_content(data, state) for _, data in constants]
    starts = np.cumsum([0, *(-(-part.nbytes // _ALIGNMENT) * _ALIGNMENT for part in content)])
    blob = np.zeros(int(starts[-1]), np.uint8)
    for (_, data), part, start in zip(constants, content, starts, strict=False):
        blob[start : start + part.nbytes] = part.reshape(-1).view(np.uint8)
        data.attrib = {key: value for key, value in data.attrib.items() if key in ("element_type", "shape")} | {
            "offset": str(start),
            "size": str(part.nbytes),
        }
    return openvino.Core().read_model(model=ET.tostring(root), weights=openvino.Tensor(blob))


def record(network: str, preset: str) -> bytes:
    """Record the topology of a network from its torch module.

    Raises:
        WeightsError: no network or preset of that name, or its graph lacks tensors of its state.
    """
    from spondyl.engine.runtime import openvino

    module = build(network, preset).eval()
    with tempfile.TemporaryDirectory() as folder:
        xml, weights = Path(folder) / "graph.xml", Path(folder) / "graph.bin"
        openvino.serialize(_front_end_model(module, network, preset), xml, weights)
        root = ET.parse(xml).getroot()
        blob = np.memmap(weights, np.uint8, "r")
        known = {key for key in module.state_dict() if not key.endswith("num_batches_tracked")}
        for layer, data in _constants(root):
            _name_content(layer.get("name", ""), data, blob, known)
    used = {data.get("tensor") for _, data in _constants(root)} - {None}
    if used != known:
        raise WeightsError(f"the graph of {network} ({preset}) lacks tensors: {sorted(known - used)[:3]}")
    root.set("source", source_digest(network, preset))
    return ET.tostring(root)


def _front_end_model(module: Any, network: str, preset: str) -> openvino.Model:
    """Make the model of OpenVINO's PyTorch front end, before batch normalisation is folded into the convolutions."""
    import torch
    from openvino.frontend import FrontEndManager  # after `runtime`, which `record` imports
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    entry = network_entry(network, preset)
    with torch.inference_mode(), warnings.catch_warnings():
        # the front end needs a trace, which the pinned version of torch still has, but deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        # without the check, which runs the network again and takes a second
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            module, torch.zeros(entry.example_shape[preset]), check_trace=False
        )
    front_end = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced)  # the front end holds no reference of its own
    loaded = front_end.load(decoder)
    return front_end.convert(loaded)


def _constants(root: ET.Element) -> Iterator[tuple[ET.Element, ET.Element]]:
    for layer in root.iter("layer"):
        data = layer.find("data")
        if layer.get("type") == "Const" and data is not None:
            yield layer, data


def _name_content(name: str, data: ET.Element, blob: NDArray[np.uint8], known: set[str]) -> None:
    """Replace an offset by the name of a tensor, or by the few bytes of any other constant."""
    start, size = int(data.attrib.pop("offset")), int(data.attrib.pop("size"))
    tensor = name.removeprefix(_PREFIX)
    if tensor in known:
        data.set("tensor", tensor)
    else:
        data.set("hex", blob[start : start + size].tobytes().hex())


def _content(data: ET.Element, state: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    name = data.get("tensor")
    if name is None:
        return np.frombuffer(bytes.fromhex(data.get("hex", "")), np.uint8)
    shape = tuple(int(n) for n in data.get("shape", "").split(",") if n.strip())
    if name not in state or state[name].shape != shape:
        raise WeightsError(f"the network needs tensor {name} of shape {shape}, which the weights lack")
    return np.ascontiguousarray(state[name], dtype=_TYPES[data.get("element_type", "")])


def _read(path: Path) -> bytes | None:
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error):
        return None


if __name__ == "__main__":
    for _network, _entry in NETWORKS.items():
        for _preset in _entry.presets:
            _xml = record(_network, _preset)
            (SHIPPED / f"{_network}-{_preset}.xml.gz").write_bytes(gzip.compress(_xml, mtime=0))
