"""Annotation formats of other tools, one module each: COCO, LabelMe, Cityscapes and CVAT."""
