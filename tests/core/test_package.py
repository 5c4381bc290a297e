"""Contents of the packages that users install."""

import re
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from importlib.metadata import distribution, entry_points
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
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
    assert {"c2f_core/py.typed", "napari_c2f/py.typed"} <= data
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


def test_sdist_has_no_pictures(sdist_names: set[str]) -> None:
    assert "docs/index.md" in sdist_names
    assert not {PurePosixPath(name).suffix for name in sdist_names} & {".gif", ".jpg", ".png"}


@pytest.mark.skipif(not any((ROOT / "docs").rglob("*.gif")), reason="an sdist has no pictures")
def test_description_shows_pictures_and_pages_wherever_it_is_read(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    targets = re.findall(r"\]\(([^)]+)\)", wheel.read(name).decode())
    assert targets
    assert all(target.startswith("https://") for target in targets)
    for picture in [target for target in targets if "raw.githubusercontent" in target]:
        assert (ROOT / "docs" / picture.partition("/docs/")[2]).is_file()


def test_manifest_is_one_file() -> None:
    link = ROOT / "napari.yaml"
    assert link.is_symlink()
    assert link.resolve() == ROOT / "src" / MANIFEST


def test_napari_finds_the_manifest() -> None:
    (entry,) = entry_points(group="napari.manifest", name="napari-c2f")
    assert entry.value == "napari_c2f:napari.yaml"


@pytest.mark.parametrize(
    "name", ["c2f-train", "c2f-refine", "c2f-evaluate", "c2f-search", "c2f-export"]
)
def test_console_script_resolves(name: str) -> None:
    (entry,) = entry_points(group="console_scripts", name=name)
    assert callable(entry.load())


def test_metadata_serves_napari_hub_and_users(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_bytes(wheel.read(name))
    assert "Framework :: napari" in metadata.get_all("Classifier", [])
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"
    urls = {entry.partition(",")[0] for entry in metadata.get_all("Project-URL", [])}
    assert urls == {"Source", "Documentation", "Changelog", "Bug Tracker", "User Support"}


def test_no_qt_backend_unless_asked_for() -> None:
    requirements = distribution("napari-c2f").requires or []
    core = [requirement for requirement in requirements if "extra ==" not in requirement]
    backends = re.compile(r"pyqt(?!graph)|pyside|\[(all|pyqt|pyside)", re.IGNORECASE)
    assert not [requirement for requirement in core if backends.search(requirement)]
    assert any("pyqt6" in requirement for requirement in requirements)


def test_next_release_has_one_version_in_all_places() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert found
    assert f"\nversion: {found[1]}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def conda_names(requirements: list[str]) -> set[str]:
    """Requirements of PyPI as conda-forge writes them."""
    names = {"torch": "pytorch", "opencv-python-headless": "py-opencv"}
    found = [re.fullmatch(r"([\w.-]+)(.*)", requirement) for requirement in requirements]
    return {f"{names.get(match[1], match[1])} {match[2]}" for match in found if match}


def test_conda_recipe_asks_for_what_pyproject_asks_for(
    recipe: dict[str, Any], pyproject: dict[str, Any]
) -> None:
    wanted, project = recipe["requirements"], pyproject["project"]
    extras = project["optional-dependencies"]
    python = "python ${{ python_min }}.*"
    assert set(wanted["host"]) == {python, "pip"} | conda_names(
        pyproject["build-system"]["requires"]
    )
    assert set(wanted["run"]) == {"python >=${{ python_min }}"} | conda_names(
        project["dependencies"] + extras["opencv"]
    )
    optional = extras["scale"] + extras["search"] + extras["share"]
    assert set(wanted["run_constraints"]) == {"pyqt >=6.5", "pyside6 >=6.7"} | conda_names(optional)
    assert set(extras) == {"all", "opencv", "scale", "search", "share"}


def test_conda_recipe_has_version_commands_and_addresses_of_pyproject(
    recipe: dict[str, Any], pyproject: dict[str, Any]
) -> None:
    project, about = pyproject["project"], recipe["about"]
    assert recipe["context"]["name"] == project["name"]
    assert f">={recipe['context']['python_min']}" == project["requires-python"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert recipe["context"]["version"] == citation["version"]
    commands = {f"{name} = {target}" for name, target in project["scripts"].items()}
    assert set(recipe["build"]["python"]["entry_points"]) == commands
    assert (about["license"], [about["license_file"]]) == (
        project["license"],
        project["license-files"],
    )
    assert about["repository"] == project["urls"]["Source"]
    assert about["documentation"] == project["urls"]["Documentation"]
