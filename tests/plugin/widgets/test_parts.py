"""The parts that widgets are made of."""

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_c2f.widgets.parts import collapsible
from napari_c2f.widgets.scrolling import ScrolledColumn


def test_an_opened_section_stays_in_view_while_its_surroundings_grow(qtbot, click):
    area = ScrolledColumn()
    qtbot.addWidget(area)
    above, content, below = QWidget(), QWidget(), QWidget()
    button = QPushButton("last")
    QVBoxLayout(content).addWidget(button)
    above.setMinimumHeight(100)
    below.setMinimumHeight(400)
    section = collapsible("Section", content)
    for each in (above, section, below):
        area.column.addWidget(each)
    area.resize(200, 200)
    area.show()
    qtbot.waitExposed(area)
    click(section.toggleButton())
    qtbot.waitUntil(lambda: button.visibleRegion().boundingRect().height() == button.height())
    above.setMinimumHeight(600)  # A layout that settles late.
    qtbot.waitUntil(lambda: area.verticalScrollBar().value() > 400)
    assert button.visibleRegion().boundingRect().height() == button.height()
