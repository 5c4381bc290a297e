"""Models of other formats in a project: copied and found, or refused."""

import numpy as np
import pytest

from c2f_core.errors import DataError
from c2f_core.models.bundled import bundled_file
from c2f_core.models.sharing import share_model
from c2f_core.project.files import copy_model
from c2f_core.project.project import Project
from c2f_core.project.refining import find_model
from c2f_core.refine.learned import Refiner


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return share_model(bundled_file("fasseg"), tmp_path_factory.mktemp("shared") / "faces.zip")


def test_a_package_becomes_the_model_of_a_project(package, tmp_path):
    table = Refiner.bundled("fasseg", "cpu").class_table
    with Project.create(tmp_path / "project", table) as project:
        project.choose_model(package)
        copy = tmp_path / "project" / "models" / "faces.zip"
        assert project.models == [copy]
        assert find_model(project) == str(copy)
    np.testing.assert_array_equal(copy.read_bytes(), package.read_bytes())


def test_the_description_alone_is_no_model_of_a_project(tmp_path):
    description = tmp_path / "rdf.yaml"
    description.write_text("type: model")
    with pytest.raises(DataError, match=r"choose the package as a \.zip file"):
        copy_model(description, tmp_path / "models")
