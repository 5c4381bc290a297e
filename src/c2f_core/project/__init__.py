"""A project: a folder that keeps the work on many images and serves as a training set."""

from c2f_core.project.project import Project
from c2f_core.project.records import Effort, ImageRecord, Status
from c2f_core.project.work import Work

__all__ = ["Effort", "ImageRecord", "Project", "Status", "Work"]
