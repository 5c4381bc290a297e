"""ONNX models that run like a generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from c2f_core.errors import CheckpointError, ConfigError, is_out_of_memory
from c2f_core.extras import ONNX, check_installed
from c2f_core.models.checkpoint import check_size
from c2f_core.models.metadata import CheckpointMetadata, read_metadata
from c2f_core.models.onnx_check import check_graph
from c2f_core.models.onnx_graph import COARSE, IMAGE, LOGITS
from c2f_core.models.package import open_onnx
from c2f_core.networks.unet import IMAGE_CHANNELS, UNet, build_generator, padded

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

GPU_PROVIDER, CPU_PROVIDER = "CUDAExecutionProvider", "CPUExecutionProvider"


class OnnxNetwork:
    """An ONNX model that computes logits like a `UNet`, with onnxruntime.

    Load it with `OnnxNetwork.load`.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The model.
    outline : UNet
        Generator of the same architecture, whose weights are not used.
    path : Path
        File of the model, for error messages.

    Attributes
    ----------
    config : GeneratorConfig
        Shape and input of the network.
    number_of_classes, in_channels, stride, reach : int
        See `UNet`.
    """

    def __init__(self, session: InferenceSession, outline: UNet, path: Path) -> None:
        self.config = outline.config
        self.conditional = outline.conditional
        self.number_of_classes = outline.number_of_classes
        self.in_channels = outline.in_channels
        self.stride = outline.stride
        self.reach = outline.reach
        self._session = session
        self._path = path

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> tuple[Self, CheckpointMetadata]:
        """Load an ONNX model or a bioimage.io package that `share_model` wrote.

        Parameters
        ----------
        path : str or Path
            File with the suffix .onnx or .zip, or `rdf.yaml` in the folder of a package.
        device : str
            "cpu", "cuda" (or "cuda:1" and so on), or "auto" for a GPU if onnxruntime can use
            one.

        Returns
        -------
        network : OnnxNetwork
            The network.
        metadata : CheckpointMetadata
            Metadata in the model.

        Raises
        ------
        CheckpointError
            If the file is missing, damaged or of another program, or does not contain the
            network that its metadata describe.
        ConfigError
            If onnxruntime cannot use the device.
        MissingPackageError
            If onnx or onnxruntime is not installed.
        """
        path = Path(path)
        metadata = read_metadata(path)
        check_installed(ONNX, "Opening an ONNX model or bioimage.io package")
        providers = providers_for(device)
        classes = metadata.class_table.number_of_classes
        check_size(path, lambda: build_generator(metadata.config.architecture, classes))
        with torch.device("meta"):
            outline = build_generator(metadata.config.architecture, classes)
        with open_onnx(path) as file:
            content = file.read()
        check_graph(content, outline, path)
        network = cls(_session(content, providers, path), outline, path)
        network(torch.zeros(1, network.in_channels, network.stride, network.stride))
        return network, metadata

    def __call__(self, inputs: Tensor) -> Tensor:
        """Compute the logits.

        Parameters
        ----------
        inputs : (N, 3 + C or 3, Y, X) float32 tensor
            Images and coarse maps on the CPU, see `generator_input`; any Y, X >= 1.

        Returns
        -------
        (N, C, Y, X) float32 tensor
            Logits of the classes, on the CPU.

        Raises
        ------
        CheckpointError
            If the model cannot be run.
        MemoryError
            If there is not enough memory.
        """
        height, width = inputs.shape[-2:]
        arrays = padded(inputs, self.stride).float().contiguous().numpy()
        feeds = {IMAGE: arrays[:, :IMAGE_CHANNELS]}
        if self.conditional:
            feeds[COARSE] = arrays[:, IMAGE_CHANNELS:]
        try:
            (logits,) = self._session.run([LOGITS], feeds)
        except _errors() as error:
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from error
            raise _cannot_run(self._path, error) from error
        return torch.from_numpy(logits)[..., :height, :width]


def providers_for(device: str) -> list[Any]:
    """Return the execution providers of onnxruntime for a device, the preferred one first.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda" (or "cuda:1" and so on) or "mps".

    Raises
    ------
    ConfigError
        If onnxruntime cannot use the device.
    """
    import onnxruntime

    has_gpu = GPU_PROVIDER in onnxruntime.get_available_providers()
    kind, _, number = device.partition(":")
    if kind == "cpu" or (kind == "auto" and not has_gpu):
        return [CPU_PROVIDER]
    if kind in ("auto", "cuda") and has_gpu:
        return [(GPU_PROVIDER, {"device_id": int(number or 0)}), CPU_PROVIDER]
    raise ConfigError(f"ONNX models cannot run on the device '{device}' here; choose auto or cpu.")


def _session(content: bytes, providers: list[Any], path: Path) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # Errors are raised; they need not be printed, too.
    # Memory of large tiles is returned, as after large tiles come small ones.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except _errors() as error:
        raise _cannot_run(path, error) from error


def _errors() -> tuple[type[Exception], ...]:
    """Return the errors that onnxruntime raises, which have no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        *(state.EPFail, state.Fail, state.InvalidArgument, state.InvalidGraph),
        *(state.InvalidProtobuf, state.NotImplemented, state.RuntimeException),
        *(RuntimeError, ValueError),
    )


def _cannot_run(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).splitlines()[0].rstrip(".")
    return CheckpointError(f"{path} cannot be run ({reason}); export the model again.")
