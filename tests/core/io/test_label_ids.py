"""Maps of the label ids of Cityscapes, read and written."""

import numpy as np
import pytest
from PIL import Image

from c2f_core.classes.presets import RGB
from c2f_core.classes.table import ClassTable, table_from_colours
from c2f_core.errors import ClassTableError, DataError
from c2f_core.io.label_ids import write_label_ids
from c2f_core.io.maps import read_map, write_map
from c2f_core.io.recognise import recognise_table

TABLE = ClassTable.preset("cityscapes")
COARSE = "aachen_000000_000019_gtCoarse_labelIds.png"
RED: RGB = (255, 0, 0)


def save(path, label_ids):
    Image.fromarray(np.array([label_ids], dtype=np.uint8)).save(path)
    return path


def test_label_ids_are_read_as_classes_by_the_name_of_the_file(tmp_path):
    path = save(tmp_path / COARSE, [0, 1, 7, 26, 33, 200])
    assert recognise_table(path) == TABLE
    labels, report = read_map(path, TABLE)
    assert labels.tolist() == [[255, 255, 0, 13, 18, 255]]
    assert "ids that the dataset does not define (200" in report.message()
    _, report = read_map(save(tmp_path / COARSE, [0, 7]), TABLE)
    assert not report.message()


def test_other_class_tables_get_the_classes_of_the_same_name(tmp_path):
    path = save(tmp_path / COARSE, [0, 7, 26])
    table = table_from_colours("few", {5: ("car", RED), 9: ("road", (0, 0, 9))})
    labels, _ = read_map(path, table)
    assert labels.tolist() == [[0, 9, 5]]
    with pytest.raises(ClassTableError, match="none of the classes of 'fasseg'"):
        read_map(path, ClassTable.preset("fasseg"))


def test_maps_with_a_class_table_of_that_name_are_read_by_their_table(tmp_path):
    path = tmp_path / "a_gtFine_labelIds.png"
    write_map(path, np.array([[7, 255]], dtype=np.uint8), TABLE)
    assert read_map(path, TABLE)[0].tolist() == [[7, 255]]


def test_written_label_ids_keep_what_is_ignored(tmp_path):
    coarse = save(tmp_path / COARSE, [0, 1, 3, 7, 30])
    class_ids = np.array([[0, 2, 2, 255, 18]], dtype=np.uint8)
    path = tmp_path / "fine.png"
    write_label_ids(path, class_ids, coarse)
    assert np.array(Image.open(path)).tolist() == [[7, 1, 3, 0, 30]]
    write_label_ids(path, class_ids)
    assert np.array(Image.open(path)).tolist() == [[7, 11, 11, 0, 33]]


def test_colour_images_are_no_maps_of_label_ids(tmp_path):
    path = tmp_path / COARSE
    Image.new("RGB", (4, 1)).save(path)
    with pytest.raises(DataError, match="not an 8-bit map of label ids"):
        read_map(path, TABLE)
