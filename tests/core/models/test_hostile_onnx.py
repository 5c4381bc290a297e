"""ONNX models and packages of other programs, damaged and hostile ones: one sentence each."""

import hashlib
import os
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import onnx
import pytest
import torch
from onnx import AttributeProto, TensorProto, helper

from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import NetworkConfig
from c2f_core.errors import CheckpointError
from c2f_core.models.metadata import (
    METADATA_KEY,
    CheckpointMetadata,
    RecordedConfig,
    read_model_metadata,
)
from c2f_core.models.onnx_graph import onnx_model
from c2f_core.models.onnx_properties import read_property
from c2f_core.networks.unet import build_generator
from c2f_core.refine.learned import Refiner

TABLE = ClassTable.preset("fasseg")
CONFIG = RecordedConfig(network=NetworkConfig(stem=2, widths=(8, 12)), colour_weight=0.0)
METADATA = CheckpointMetadata(config=CONFIG, class_table=TABLE)
RDF = "type: model\nweights:\n  onnx:\n    source: {source}\n    sha256: '{sha256}'\n"


@pytest.fixture(scope="module")
def valid() -> bytes:
    torch.manual_seed(0)
    generator = build_generator(CONFIG.architecture, TABLE.number_of_classes).eval()
    return onnx_model(generator, METADATA).SerializeToString()


@pytest.fixture
def model(valid: bytes) -> onnx.ModelProto:
    return onnx.load_model_from_string(valid)


@pytest.fixture
def refuse(tmp_path: Path) -> Callable[..., None]:
    """Return a function that asserts that a model is refused in one sentence."""

    def check(content: onnx.ModelProto | bytes, reason: str, name: str = "a.onnx") -> None:
        path = tmp_path / name
        is_model = isinstance(content, onnx.ModelProto)
        path.write_bytes(content.SerializeToString() if is_model else content)
        with pytest.raises(CheckpointError, match=reason) as error:
            Refiner.load(path, "cpu")
        message = str(error.value)
        assert str(path) in message
        assert len(message) < 400
        assert "\n" not in message

    return check


def packed(
    content: bytes,
    *,
    source: str = "weights.onnx",
    name: str = "weights.onnx",
    rdf: str = RDF,
    sha256: str = "",
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """Return a package with these weights."""
    file = BytesIO()
    sha256 = sha256 or hashlib.sha256(content).hexdigest()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("rdf.yaml", rdf.format(source=source, sha256=sha256))
        archive.writestr(name, content)
    return file.getvalue()


def test_the_models_that_are_changed_here_are_valid(valid: bytes, tmp_path: Path) -> None:
    for name, content in {"a.onnx": valid, "a.zip": packed(valid)}.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert Refiner.load(path, "cpu").class_table == TABLE


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\xff" * 64, b"not a model at all", b"{}"]
)
@pytest.mark.parametrize("name", ["a.onnx", "a.zip"])
def test_files_of_other_kinds_are_refused(refuse, content: bytes, name: str) -> None:
    refuse(content, "not a readable model|another program", name)


def test_truncated_files_are_refused(refuse, valid: bytes) -> None:
    for length in (10, len(valid) // 2, len(valid) - 1):
        refuse(valid[:length], "not a readable model")
    refuse(packed(valid)[:-100], "not a readable model", "a.zip")


def test_missing_files_folders_and_pipes_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    names = {"gone.onnx": "No such file", "gone.zip": "No such file", "folder.onnx": "a folder"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.zip")
        names["pipe.zip"] = "a pipe"
    for name, reason in names.items():
        with pytest.raises(CheckpointError, match=reason):
            Refiner.load(tmp_path / name)


def test_models_of_other_programs_are_named(refuse, model: onnx.ModelProto, valid: bytes) -> None:
    del model.metadata_props[:]
    foreign = model.SerializeToString()
    refuse(foreign, "a model of another program")
    refuse(packed(foreign), "a model of another program", "a.zip")
    for rdf in ("type: dataset", "weights:\n  torchscript: {{source: a.pt}}", "[]", "{source}"):
        refuse(packed(valid, rdf=rdf), "a model of another program", "a.zip")
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refuse(file.getvalue(), "a model of another program", "a.zip")


def test_damaged_metadata_are_refused(refuse, model: onnx.ModelProto) -> None:
    for text, reason in (("{", "damaged"), ("[" * 100_000, "damaged"), ("{}", "format None")):
        helper.set_model_props(model, {METADATA_KEY: text})
        refuse(model, reason)
    any_classes = METADATA.model_dump_json().replace('"model1"', '"any"')
    helper.set_model_props(model, {METADATA_KEY: any_classes})
    refuse(model, "invalid metadata|another program")


def test_absurd_architectures_take_no_memory(refuse, model: onnx.ModelProto) -> None:
    config = CONFIG.model_copy(update={"network": NetworkConfig(widths=(1 << 16, 1 << 16))})
    metadata = METADATA.model_copy(update={"config": config})
    helper.set_model_props(model, {METADATA_KEY: metadata.model_dump_json()})
    refuse(model, "absurdly large")


def test_weights_in_other_files_are_never_read(refuse, model: onnx.ModelProto) -> None:
    weights = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(weights, location="../../../etc/passwd")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    refuse(model, "weights are in another file")


@pytest.mark.parametrize("dims", [[1 << 40, 1 << 40], [0], [-1], [8, 8]])
def test_weights_of_other_sizes_are_refused(refuse, model: onnx.ModelProto, dims) -> None:
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    refuse(model, "weights are damaged")


def test_weights_of_other_types_are_refused(refuse, model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = TensorProto.STRING
    refuse(model, "weights are damaged")


@pytest.mark.parametrize("operator", ["Loop", "If", "Expand", "Tile", "ConstantOfShape", "X" * 999])
def test_operators_that_could_do_more_are_refused(refuse, model, operator: str) -> None:
    model.graph.node[0].op_type = operator
    refuse(model, f"it uses '{operator[:40]}', which is not allowed")


def test_graphs_and_tensors_inside_nodes_are_refused(refuse, model: onnx.ModelProto) -> None:
    hidden = AttributeProto(name="hidden", type=AttributeProto.GRAPH, g=model.graph)
    model.graph.node[0].attribute.append(hidden)
    refuse(model, "more than a convolutional network")
    model.graph.node[0].attribute[-1].CopyFrom(helper.make_attribute("axis", 1 << 40))
    refuse(model, "more than a convolutional network")


def test_other_numbers_of_channels_are_refused(refuse, model: onnx.ModelProto) -> None:
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 7
    refuse(model, "channels coarse 7, image 3, logits 6 in place of coarse 6, image 3, logits 6")
    del model.graph.input[1]
    refuse(model, "channels image 3, logits 6 in place of")


def test_layers_that_do_not_fit_are_refused(refuse, model: onnx.ModelProto) -> None:
    convolution = next(node for node in model.graph.node if node.op_type == "ConvTranspose")
    convolution.input[1] = model.graph.initializer[0].name
    refuse(model, "layers do not fit together|result has another size|cannot be run")


def test_layers_that_take_far_more_memory_are_refused(refuse, model: onnx.ModelProto) -> None:
    nodes, image = model.graph.node, "image"
    for number in range(9):
        name = f"large_{number}"
        nodes.insert(number, helper.make_node("Concat", [image] * 64, [name], axis=1))
        image = name
    refuse(model, "absurd sizes|far more memory")
    del nodes[2:9]
    refuse(model, "far more memory")


def test_packages_are_not_unpacked_and_nothing_outside_them_is_read(
    refuse, valid: bytes, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(valid)
    for source in ("../outside.onnx", str(outside), "https://example.org/weights.onnx", "no.onnx"):
        refuse(packed(valid, source=source), "its weights are not in it", "a.zip")
        refuse(packed(valid, source=source, name="../b.onnx"), "not in it", "a.zip")
    folder = tmp_path / "folder"
    folder.mkdir()
    for source in ("../outside.onnx", str(outside), "no.onnx", "."):
        description = RDF.format(source=source, sha256=hashlib.sha256(valid).hexdigest())
        (folder / "rdf.yaml").write_text(description)
        with pytest.raises(CheckpointError, match=r"not a file in its folder|No such file"):
            Refiner.load(folder / "rdf.yaml")
    assert {path.name for path in tmp_path.iterdir()} == {"outside.onnx", "folder", "a.zip"}


def test_archives_that_grow_when_unpacked_are_refused(refuse, valid: bytes) -> None:
    bomb = packed(bytes(1 << 24), compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1 << 16
    refuse(bomb, "grow more than 50-fold", "a.zip")
    long = RDF + "#" * (2 << 20)
    refuse(packed(valid, rdf=long, compression=zipfile.ZIP_DEFLATED), "too long", "a.zip")


def test_descriptions_nested_deeply_are_refused(refuse, valid: bytes) -> None:
    refuse(packed(valid, rdf="[" * 100_000), "description is damaged", "a.zip")


def test_weights_with_another_hash_are_refused(refuse, valid: bytes) -> None:
    refuse(packed(valid, sha256="0" * 64), "not those that it describes", "a.zip")


def test_encrypted_packages_are_refused(refuse, valid: bytes) -> None:
    content = bytearray(packed(valid))
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(start)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(start, place + 1)
    refuse(bytes(content), "not a readable model", "a.zip")


def test_long_properties_and_endless_fields_are_refused() -> None:
    for content in (b"\x72\xff\xff\xff\x7f", b"\x08\x00" * 20_000, b"\xff" * 100):
        stream = BytesIO(content + bytes(1 << 10))
        with pytest.raises(ValueError, match=r"ONNX|early|long"):
            read_property(stream, 1 << 40, METADATA_KEY)


def test_metadata_are_read_without_the_network(valid: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(valid)
    assert read_model_metadata(path) == METADATA


def test_networks_that_compute_nonsense_say_so(model: onnx.ModelProto, tmp_path: Path) -> None:
    model.graph.initializer[0].raw_data = b"\x00\x00\xc0\x7f" * (
        len(model.graph.initializer[0].raw_data) // 4
    )
    path = tmp_path / "a.onnx"
    path.write_bytes(model.SerializeToString())
    image = torch.zeros(32, 32, 3, dtype=torch.uint8).numpy()
    with pytest.raises(CheckpointError, match="not finite"):
        Refiner.load(path, "cpu").refine(image, image[..., 0])
