"""Contents of the packages that users install."""

import re
import tarfile
import zipfile
from importlib.metadata import distribution, entry_points
from pathlib import Path, PurePosixPath

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = PurePosixPath("napari_c2f/napari.yaml")


def package_data() -> set[str]:
    """Every file of both packages except Python source, relative to src."""
    return {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a wheel and an sdist, built offline."""
    folder = tmp_path_factory.mktemp("dist")
    for builder in (WheelBuilder, SdistBuilder):
        list(builder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    return folder


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(distributions.glob("*.whl")))


@pytest.fixture(scope="module")
def sdist_names(distributions: Path) -> set[str]:
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as archive:
        return {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}


def test_data_files_are_there_to_be_packed() -> None:
    data = package_data()
    assert MANIFEST.as_posix() in data
    assert "c2f_core/py.typed" in data
    assert any(name.startswith("c2f_core/models/") for name in data), "no bundled model"


def test_wheel_carries_every_data_file(wheel: zipfile.ZipFile) -> None:
    assert package_data() <= set(wheel.namelist())


def test_wheel_holds_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"c2f_core", "napari_c2f"}


def test_sdist_carries_sources_data_and_licence(sdist_names: set[str]) -> None:
    wanted = {f"src/{name}" for name in package_data()}
    wanted |= {"LICENSE", "README.md", "pyproject.toml", "napari.yaml"}
    assert wanted <= sdist_names


def test_manifest_is_one_file() -> None:
    link = ROOT / "napari.yaml"
    assert link.is_symlink()
    assert link.resolve() == ROOT / "src" / MANIFEST


def test_napari_finds_the_manifest() -> None:
    (entry,) = entry_points(group="napari.manifest", name="napari-c2f")
    assert entry.value == "napari_c2f:napari.yaml"


@pytest.mark.parametrize("name", ["c2f-train", "c2f-refine", "c2f-evaluate", "c2f-search"])
def test_console_script_resolves(name: str) -> None:
    (entry,) = entry_points(group="console_scripts", name=name)
    assert callable(entry.load())


def test_metadata_serves_napari_hub_and_users() -> None:
    metadata = distribution("napari-c2f").metadata
    assert "Framework :: napari" in metadata.get_all("Classifier")
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"


def test_no_qt_backend_unless_asked_for() -> None:
    requirements = distribution("napari-c2f").requires or []
    core = [requirement for requirement in requirements if "extra ==" not in requirement]
    backends = re.compile(r"pyqt(?!graph)|pyside|\[(all|pyqt|pyside)", re.IGNORECASE)
    assert not [requirement for requirement in core if backends.search(requirement)]
    assert any("pyqt6" in requirement for requirement in requirements)


def test_version_stands_alike_in_all_places() -> None:
    version = distribution("napari-c2f").version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
