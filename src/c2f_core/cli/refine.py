"""`c2f-refine`: turn coarse maps into fine ones from the command line."""

import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tqdm import tqdm
from tyro.conf import Positional

from c2f_core.classes.colours import DEFAULT_TOLERANCE, check_tolerance
from c2f_core.classes.editing import table_of_colours, table_of_labels
from c2f_core.classes.table import ClassTable, Colour
from c2f_core.cli.console import check_output, run_command
from c2f_core.cli.overlap import overlapped
from c2f_core.cli.refine_pair import RefineFiles, check_pair, prepare_pair, write_pair
from c2f_core.data.cityscapes import frames_of
from c2f_core.data.layouts import images_by_stem, maps_by_stem
from c2f_core.errors import ConfigError, DataError
from c2f_core.io.atomic import delete_unfinished
from c2f_core.io.label_ids import (
    COARSE_ENDING,
    FINE_ENDING,
)
from c2f_core.io.maps import MapStyle
from c2f_core.io.recognise import plain_values, recognise_table
from c2f_core.models.bundled import bundled_for_any_classes, is_for_any_classes
from c2f_core.refine.interface import SILENT, Monitor, RefinerInterface
from c2f_core.refine.run import open_refiner
from c2f_core.refine.scope import ClassRules, Scope
from c2f_core.scale.multiscale import is_zarr

MAP_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
FRAME_ENDINGS: Mapping[MapStyle, str] = {
    "palette": FINE_ENDING,
    "index": "_gtFine_labelTrainIds.png",
    "colour": "_gtFine_color.png",
}
"""Ends of the names of fine maps of Cityscapes."""
CONFIDENCE_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class Options:
    """Refine a coarse map, or a folder of coarse maps, with a trained or untrained refiner.

    In folders, images and coarse maps are matched by name without suffix; in parts of
    Cityscapes, such as leftImg8bit/val and gtCoarse/val, by city and frame. All of them are
    checked before the first one is refined.
    """

    image: Annotated[Positional[Path], tyro.conf.arg(metavar="IMAGE")]
    """Image, or folder of images."""
    coarse: Annotated[Positional[Path], tyro.conf.arg(metavar="COARSE")]
    """Coarse map of the image, or folder of coarse maps: colour, palette or index images, NumPy
    arrays, or annotations in COCO, LabelMe, Cityscapes or CVAT format."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FINE")]
    """Fine map to write (.png, .tif or .npy), or folder for the fine maps."""
    model: str = "fasseg"
    """Name of a bundled model ('fasseg' for faces, 'any' for any classes), .safetensors file
    written by c2f-train, .onnx or .zip file written by c2f-export, or a refiner that needs no
    training and accepts any classes: 'instant', or the baselines 'watershed' and 'random
    walker'."""
    class_table: str | None = None
    """Preset, or TOML or JSON file, for models that accept any classes; by default that of the
    (first) coarse map. Other models have their own class table."""
    device: str = "auto"
    """Device for trained models: auto, cpu, cuda or mps."""
    style: MapStyle = "palette"
    """Format of fine maps: palette images with class colours, RGB images, or grey index images.
    In parts of Cityscapes: label ids (palette), colours, or train ids (index)."""
    confidence: Path | None = None
    """File (.tif) or folder for the confidence (0 to 1, NaN outside the band)."""
    care: Literal["careful", "balanced", "model"] = "careful"
    """Which changes are kept: those with a clear expected gain (careful), those that are
    likelier to help than to harm (balanced), or all that the model makes (model)."""
    smallest_region: int = 16
    """Number of pixels below which regions that the coarse map does not have are dissolved; 0 keeps
    all."""
    smallest_hole: int = 64
    """Number of pixels below which holes that the coarse map does not have are filled; 0 keeps
    all."""
    smallest_spur: int = 2
    """Number of pixels below which spurs and notches of edges are smoothed; 0 keeps all."""
    minimal_confidence: float = 0.0
    """Pixels below this confidence (0 to 1) keep their coarse label or stay unlabelled."""
    band: int | None = None
    """Only change unlabelled pixels, and pixels within this distance from a coarse boundary."""
    classes: tuple[str, ...] | None = None
    """Only change pixels from or to one of these classes."""
    tolerance: float = DEFAULT_TOLERANCE
    """Maximum RGB distance from a class colour; coarse pixels beyond it count as unlabelled."""
    average_flips: bool = False
    """Average a trained model over the image and its mirror image, which takes twice the time."""
    overwrite: bool = False
    """Replace existing fine maps and confidences."""
    level: int = 0
    """Resolution level of an OME-Zarr image, 0 for the finest."""
    channels: tuple[int, ...] | None = None
    """One or three channels of an OME-Zarr image, counted from 0; by default all one or three."""
    limits: tuple[float, float] | None = None
    """Values of an OME-Zarr image that are black and white; by default found by reading it."""
    workers: int | None = None
    """Number of worker processes to start for a folder or an OME-Zarr image."""
    scheduler: str | None = None
    """Address of a Dask scheduler whose workers refine the folder or OME-Zarr image, such as
    tcp://host:8786."""
    shard: str | None = None
    """Part of the folder or OME-Zarr image that this process refines, such as 3/8."""
    resume: bool = False
    """Continue an interrupted call: keep finished pairs, and refine those of which the fine map or
    the confidence is missing; both are written."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status."""
    given = sys.argv[1:] if arguments is None else arguments
    sys.exit(run_command(lambda: refine_files(tyro.cli(Options, prog="c2f-refine", args=given))))


def refine_files(options: Options) -> None:
    """Refine one pair or a folder of pairs.

    Raises
    ------
    C2FError
        If a file is missing, does not match or would be overwritten, or the model or
        device cannot be used. Nothing has been written in these cases.
    """
    check_tolerance(options.tolerance)
    if is_zarr(options.image):
        from c2f_core.cli.refine_zarr import refine_zarr  # Imported lazily, as few need it.

        refine_zarr(options)
        return
    in_shards = _asks_for_shards(options)
    found = find_jobs(options)
    check_overwriting(found, options.overwrite or options.resume or in_shards)
    jobs = jobs_to_do(found, options)
    if not jobs:
        print(f"Nothing to do: all of {options.output} exists.")
        return
    scope = scope_of(options)
    refiner = open_chosen_refiner(options, lambda: _class_table(options.class_table, found))
    ClassRules.of(scope, refiner.class_table)  # Raises if a class does not exist.
    if in_shards:
        from c2f_core.cli.refine_folder import refine_folder  # Imported lazily, as few need it.

        refine_folder(options, found, refiner)
        return
    for job in tqdm(jobs, desc="Checking", unit="pair", disable=None):
        check_pair(job, refiner.class_table, options.tolerance)
    delete_temporaries(jobs)
    with tqdm(total=len(jobs), desc="Refining", unit="pair", disable=None) as bar:
        overlapped(
            jobs,
            read=lambda job: prepare_pair(job, refiner.class_table, scope, options.tolerance),
            work=lambda finished, pair: pair.refine(refiner, _shown(bar, finished)),
            write=lambda job, pair: write_pair(job, pair, refiner.class_table, options.style),
            may_read_ahead=lambda pair: pair.is_in_memory,
        )
    kind = "fine map" if len(jobs) == 1 else "fine maps"
    print(f"Wrote {len(jobs)} {kind} to {options.output}")
    if len(jobs) < len(found):
        print(f"{len(found) - len(jobs)} existed already.")


def _asks_for_shards(options: Options) -> bool:
    """Return whether a folder is refined in shards; check that no other option of those is given.

    Raises
    ------
    ConfigError
        If an option is given that only OME-Zarr images, or only they and folders, have.
    """
    of_zarr = {
        "--level": options.level != 0,
        "--channels": options.channels is not None,
        "--limits": options.limits is not None,
    }
    of_many = {
        "--workers": options.workers is not None,
        "--scheduler": options.scheduler is not None,
        "--shard": options.shard is not None,
    }
    refused = of_zarr if options.image.is_dir() else of_zarr | of_many
    for name, is_given in refused.items():
        if is_given:
            kinds = "OME-Zarr images" if name in of_zarr else "folders and OME-Zarr images"
            raise ConfigError(f"{name} is for {kinds}; {options.image} is none, so omit it.")
    return any(of_many.values())


def scope_of(options: Options) -> Scope:
    """Return the scope that the options mean."""
    return Scope(
        classes=options.classes,
        band=options.band,
        minimal_confidence=options.minimal_confidence,
        care=options.care,
        smallest_region=options.smallest_region,
        smallest_hole=options.smallest_hole,
        smallest_spur=options.smallest_spur,
    )


def _shown(bar: "tqdm[Any]", finished: int) -> Monitor:
    """Return a monitor that shows the share of a pair in a progress bar."""

    def show(share: float) -> None:
        bar.update(finished + share - bar.n)

    return Monitor(show)


def find_jobs(options: Options) -> list[RefineFiles]:
    """Match images, coarse maps and outputs.

    Raises
    ------
    DataError
        If a file or its partner is missing, or an output has an unsupported suffix.
    """
    image, coarse = options.image, options.coarse
    for path in (image, coarse):
        if not path.exists():
            raise DataError(f"{path} does not exist; check the path.")
    if image.is_dir() != coarse.is_dir():
        raise DataError("Give either one image and one coarse map, or a folder of each.")
    if image.is_dir():
        return _folder_jobs(options)
    if image.samefile(coarse):
        raise DataError(f"{image} is given as the image and as its coarse map; choose another map.")
    _check_suffix(options.output, MAP_SUFFIXES)
    if options.confidence is not None:
        _check_suffix(options.confidence, CONFIDENCE_SUFFIXES)
    return [RefineFiles(image, coarse, options.output, options.confidence)]


def _folder_jobs(options: Options) -> list[RefineFiles]:
    for folder in (options.output, options.confidence):
        if folder is not None and folder.is_file():
            raise DataError(f"{folder} is a file; give a folder, as for the images.")
    if frames := frames_of(options.image):
        return _jobs_of(
            options, frames, frames_of(options.coarse, COARSE_ENDING), FRAME_ENDINGS[options.style]
        )
    images = images_by_stem(options.image)
    maps = maps_by_stem(options.coarse, images)
    if not images:
        raise DataError(f"{options.image} has no images; put .png, .jpg, .bmp or .tif there.")
    return _jobs_of(options, images, maps, ".png")


def _jobs_of(
    options: Options, images: Mapping[str, Path], maps: Mapping[str, Path], ending: str
) -> list[RefineFiles]:
    """Match images and coarse maps by name; fine maps get that name and an ending."""
    _check_partners(images, maps, options.coarse)
    _check_partners(maps, images, options.image)
    return [
        RefineFiles(
            images[stem],
            maps[stem],
            options.output / f"{stem}{ending}",
            options.confidence / f"{stem}.tif" if options.confidence else None,
        )
        for stem in images
    ]


def jobs_to_do(jobs: Sequence[RefineFiles], options: Options) -> list[RefineFiles]:
    """Return the refinements to do: all, or those of which a file is missing.

    Map and confidence are written together, so that both are of one refinement.

    Raises
    ------
    ConfigError
        If existing files should be both kept and replaced.
    """
    if options.resume and options.overwrite:
        raise ConfigError("--resume keeps existing files and --overwrite replaces them; give one.")
    if not options.resume:
        return list(jobs)
    return [job for job in jobs if not all(path.exists() for path in job.outputs)]


def refine_checked(
    job: RefineFiles, refiner: RefinerInterface, options: Options, scope: Scope
) -> None:
    """Check one pair, and refine it.

    Raises
    ------
    C2FError
        If the pair does not fit the refiner, or cannot be read or written.
    """
    check_pair(job, refiner.class_table, options.tolerance)
    delete_temporaries([job])
    pair = prepare_pair(job, refiner.class_table, scope, options.tolerance)
    pair.refine(refiner, SILENT)
    write_pair(job, pair, refiner.class_table, options.style)


def delete_temporaries(jobs: Sequence[RefineFiles]) -> None:
    """Delete the temporary files that a killed process left of these outputs.

    Those of other outputs in the same folders stay: another process may be writing them.
    """
    for folder in {path.parent for job in jobs for path in job.outputs}:
        paths = [path for job in jobs for path in job.outputs if path.parent == folder]
        delete_unfinished(folder, *paths)


def _check_partners(names: Iterable[str], partners: Container[str], folder: Path) -> None:
    """Check that every file has a partner in a folder."""
    missing = [name for name in names if name not in partners]
    if missing:
        raise DataError(
            f"'{min(missing)}' is missing in {folder} ({len(missing)} missing in total); add the "
            "missing files or remove their partners."
        )


def _check_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    if path.suffix.lower() not in suffixes or path.is_dir():
        raise DataError(f"{path} cannot be written; give a file that ends in {suffixes[0]}.")


def check_overwriting(jobs: Sequence[RefineFiles], overwrite: bool) -> None:
    """Check that no file is overwritten by mistake.

    Raises
    ------
    DataError
        If an output is also an input or another output, or exists and `overwrite` is
        False.
    """
    inputs = {path.resolve() for job in jobs for path in (job.image, job.coarse)}
    taken: set[Path] = set()
    for job in jobs:
        for path in job.outputs:
            if path.resolve() in inputs:
                raise DataError(f"{path} is an image or coarse map; choose another output.")
            if path.resolve() in taken:
                raise DataError(f"{path} would be written twice; choose another output.")
            if path.exists() and not overwrite:
                raise DataError(
                    f"{path} exists; add --overwrite to replace or --resume to keep it, or choose "
                    "another output."
                )
            check_output(path)
            taken.add(path.resolve())


def open_chosen_refiner(options: Options, find_table: Callable[[], ClassTable]) -> RefinerInterface:
    """Open the refiner that the options mean.

    Raises
    ------
    C2FError
        As `open_refiner`, or if a class table is given for a refiner that has its own.
    """
    # Imported lazily, as it takes seconds.
    from c2f_core.refine.untrained import untrained_refiners

    flexible = [*bundled_for_any_classes(), *untrained_refiners()]
    has_table = options.model not in flexible and not is_for_any_classes(options.model)
    if options.class_table is not None and has_table:
        raise ConfigError(
            "This model has its own class table; omit --class-table, or choose "
            f"{' or '.join(flexible)} as --model."
        )
    return open_refiner(
        options.model, find_table, options.device, average_flips=options.average_flips
    )


def _class_table(name: str | None, jobs: Sequence[RefineFiles]) -> ClassTable:
    if name is not None:
        return ClassTable.named(name)
    table = recognise_table(jobs[0].coarse, jobs[0].image)
    return _plain_table(jobs) if table is None else table


def _plain_table(jobs: Sequence[RefineFiles]) -> ClassTable:
    """Return a table of the labels or colours of all coarse maps, which name no classes."""
    values: dict[int | Colour, None] = {}
    for job in jobs:
        found = plain_values(job.coarse)
        if found is None:
            raise DataError(
                f"The class table of {job.coarse} is unknown; give a preset, or a TOML or JSON "
                "file, with --class-table."
            )
        values |= dict.fromkeys(found)
    labels = [value for value in values if isinstance(value, int)]
    colours = [value for value in values if not isinstance(value, int)]
    if labels and colours:
        raise DataError(
            "Some coarse maps have labels and others colours; give their classes with "
            "--class-table."
        )
    table = table_of_labels(labels) if labels else table_of_colours(sorted(colours))
    kind = f"labels {', '.join(map(str, sorted(labels)))}" if labels else "colours"
    print(
        f"note: The coarse maps name no classes, so their {kind} count as classes (the label 255 "
        "as unlabelled). If this is wrong, give --class-table.",
        file=sys.stderr,
    )
    return table


if __name__ == "__main__":
    main()
