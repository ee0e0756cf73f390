"""What computes a depth network: torch, ONNX Runtime or OpenVINO, where and in which precision.

A network's own part, its core, takes float32 (B, 3, h, w) and gives float32 (B, h', w'). Torch runs a module
as it is; the other two run what torch traced of it, for every input shape anew. Kernels are chosen by shape:
an answer does not depend on what shares its batch as long as all batches have one shape, so callers fill up
the last one.
"""

from __future__ import annotations

import importlib.util
import io
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import MdeasError
from ..pipeline.parallel import usable_cores

Core = Callable[[Tensor], Tensor]

RUNTIMES = ("auto", "torch", "onnxruntime", "openvino")
_DTYPES_OF = {
    "torch": ("float32", "bfloat16", "float16"),
    "onnxruntime": ("float32",),
    "openvino": ("float32", "bfloat16"),
}
_EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}
LARGE = 10_000_000  # parameters: from there on OpenVINO is worth the seconds that it takes to compile
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Computation:
    """Where, with what and how exactly a network computes; before :func:`settle` also ``auto``."""

    device: torch.device
    dtype: str = "float32"
    runtime: str = "torch"


def settle(how: Computation, parameters: int, traceable: bool = True, auto: str = "torch") -> Computation:
    """``how`` with ``auto`` replaced by the fastest that is here; anything else is taken at its word.

    ``runtime`` auto is OpenVINO for a large network on a CPU where it is installed, otherwise ``auto``.
    ``dtype`` auto is bfloat16 where the hardware multiplies it, otherwise float32.

    Args:
        how: What is wanted.
        parameters: How many the network has.
        traceable: Whether anything but torch can run the network.
        auto: The runtime of last resort.

    Raises:
        MdeasError: If the runtime is not installed, or does not compute so or there.
    """
    device, dtype, runtime = how.device, how.dtype, how.runtime
    if runtime == "auto":
        fast = parameters > LARGE and traceable and device.type == "cpu" and is_installed("openvino")
        runtime = "openvino" if fast else auto
    if runtime not in _DTYPES_OF:
        raise MdeasError(f"no such runtime: {runtime}; use one of {', '.join(RUNTIMES)} (--runtime)")
    if runtime != "torch":
        if not is_installed(runtime):
            raise MdeasError(f"not installed: {runtime}; pip install 'mdeas[{_EXTRAS[runtime]}]'")
        if not traceable:
            raise MdeasError(f"{runtime} cannot run this network: not traceable; use --runtime torch")
        if device.type != "cpu":
            raise MdeasError(f"{runtime} runs on the CPU here, not on {device}; use --runtime torch")
    if dtype == "auto":
        fast = "bfloat16" in _DTYPES_OF[runtime] and _has_bfloat16(device)
        dtype = "bfloat16" if fast else "float32"
    if dtype not in _DTYPES_OF[runtime]:
        known = " or ".join(_DTYPES_OF[runtime])
        raise MdeasError(f"{runtime} does not compute in {dtype}; use --dtype {known}, or another --runtime")
    return Computation(device, dtype, runtime)


def is_installed(library: str) -> bool:
    """Whether ``library`` can be imported, without importing it."""
    return importlib.util.find_spec(library) is not None


def compile_core(module: nn.Module, how: Computation) -> Core:
    """``module`` ready to compute as ``how``, settled, says; threads may share what comes back.

    Args:
        module: Takes float (B, 3, h, w), gives float (B, h', w') or (B, 1, h', w').
        how: Where, with what, how exactly.
    """
    module = module.eval().requires_grad_(False)
    if how.runtime == "torch":
        return _TorchCore(module, how)
    if how.runtime == "onnxruntime":
        return PerShape(lambda shape: _exported_session(module, shape))
    return PerShape(lambda shape: openvino_core(_converted(module, shape), shape, how.dtype))


class _TorchCore:
    """The module itself, in its precision and channels last: what convolutions are fastest with."""

    def __init__(self, module: nn.Module, how: Computation) -> None:
        self._device, self._dtype = how.device, getattr(torch, how.dtype)
        _convert(module, self._dtype)
        self._module = module.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self._device, self._dtype).contiguous(memory_format=torch.channels_last)
        return as_map(self._module(x))


def _convert(module: nn.Module, dtype: torch.dtype) -> None:
    """Weights in ``dtype``, in place; norms of batches keep float32, which their statistics need."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            continue
        for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
            if tensor.is_floating_point():
                tensor.data = tensor.data.to(dtype)


class PerShape:
    """A core for each input shape, built when a shape first comes."""

    def __init__(self, build: Callable[[tuple[int, ...]], Core]) -> None:
        """``build`` makes the core of a shape."""
        self._build = build
        self._cores: dict[tuple[int, ...], Core] = {}
        self._lock = threading.Lock()

    def __call__(self, x: Tensor) -> Tensor:
        """The answer of the core for the shape of ``x``."""
        shape = tuple(x.shape)
        with self._lock:
            if shape not in self._cores:
                self._cores[shape] = self._build(shape)
        return self._cores[shape](x)


def onnx_session(model: bytes | str) -> Core:
    """A core that runs an ONNX model, given as bytes or as a path, on one thread of ONNX Runtime a call."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # As with torch: the threads that call are the parallelism.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(x: Tensor) -> Tensor:
        return as_map(torch.from_numpy(session.run(None, {name: x.contiguous().numpy()})[0]))

    return run


def openvino_core(model: Any, shape: tuple[int, ...], dtype: str) -> Core:
    """A core that runs an ``openvino.Model`` at one input ``shape``, in a stream of one thread a core."""
    import openvino

    model.reshape(list(shape))
    cores = str(usable_cores())
    precision = {"float32": "f32", "bfloat16": "bf16"}[dtype]
    settings = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores}
    compiled = openvino.compile_model(model, "CPU", settings)
    mine = threading.local()  # a request serves one call at a time

    def run(x: Tensor) -> Tensor:
        if not hasattr(mine, "request"):
            mine.request = compiled.create_infer_request()
        mine.request.infer([x.contiguous().numpy()], share_inputs=True)
        return as_map(torch.from_numpy(mine.request.get_output_tensor(0).data.copy()))

    return run


def as_map(answer: Tensor) -> Tensor:
    """Float32 (B, h, w) of an answer that may also be (B, 1, h, w).

    Raises:
        MdeasError: If it is neither.
    """
    if answer.ndim == 4 and answer.shape[1] == 1:
        answer = answer[:, 0]
    if answer.ndim != 3:
        raise MdeasError(
            f"the network's first output is no map of depth: its shape is {tuple(answer.shape)}; "
            "expected (pictures, height, width) or (pictures, 1, height, width)"
        )
    return answer.float()


def _exported_session(module: nn.Module, shape: tuple[int, ...]) -> Core:
    """The module in ONNX Runtime, which refuses some of what torch exports."""
    model = _exported(module, shape)
    try:
        return onnx_session(model)
    except Exception as error:  # of its own, without a common base
        raise _not_for("onnxruntime", error) from error


def _exported(module: nn.Module, shape: tuple[int, ...]) -> bytes:
    """The module as ONNX for one input shape."""
    file = io.BytesIO()
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # The tracing exporter: the newer one needs a further package.
            example = (_example(shape),)
            torch.onnx.export(module, example, file, dynamo=False, input_names=["x"])  # type: ignore[arg-type]
        except Exception as error:  # whatever an operator that cannot be exported raises
            raise _not_for("onnxruntime", error) from error
    return file.getvalue()


def _converted(module: nn.Module, shape: tuple[int, ...]) -> Any:
    """The module as an ``openvino.Model`` for one input shape."""
    import openvino

    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return openvino.convert_model(module, example_input=_example(shape))
        except Exception as error:  # as above
            raise _not_for("openvino", error) from error


def _example(shape: tuple[int, ...]) -> Tensor:
    return torch.full(shape, 0.5)


def _not_for(runtime: str, error: Exception) -> MdeasError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return MdeasError(f"{runtime} cannot run this network: {reason[:200]}; use --runtime torch")


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; without that it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or not _CPU_INFO.exists():
        return False
    words = set(_CPU_INFO.read_text(encoding="utf-8", errors="replace").split())
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
