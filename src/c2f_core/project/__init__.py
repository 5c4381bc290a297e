"""A project: a folder of images in work, which restores the work and can be trained on."""

from c2f_core.project.project import Project
from c2f_core.project.records import Effort, ImageRecord, Status
from c2f_core.project.work import Work

__all__ = ["Effort", "ImageRecord", "Project", "Status", "Work"]
