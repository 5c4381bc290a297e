"""`c2f-export`: write a trained model for other programs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from c2f_core.cli.console import check_output, run_command


@dataclass(frozen=True)
class Options:
    """Export a trained model as ONNX, or as a package for bioimage.io.

    What is written can be chosen as a model everywhere in this program, too. Models for any
    classes cannot be exported.
    """

    model: Annotated[Positional[str], tyro.conf.arg(metavar="MODEL")]
    """Name of a bundled model, .safetensors file or run folder written by c2f-train."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """File to write: .onnx, or .zip for a package."""
    title: str = ""
    """Name of the model in the package; by default that of its file."""
    authors: tuple[str, ...] = ()
    """Names of the authors in the package."""
    licence: str | None = None
    """SPDX identifier of the licence in the package, such as CC-BY-4.0."""
    overwrite: bool = False
    """Replace an existing file."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(run_command(lambda: _export(tyro.cli(Options, prog="c2f-export", args=arguments))))


def _export(options: Options) -> None:
    # Imported lazily, as torch takes seconds to import.
    from c2f_core.models.sharing import share_model
    from c2f_core.training.initial import checkpoint_of

    check_output(options.output)
    share_model(
        checkpoint_of(options.model),
        options.output,
        title=options.title,
        authors=options.authors,
        licence=options.licence,
        overwrite=options.overwrite,
    )
    print(f"Wrote {options.output}")


if __name__ == "__main__":
    main()
