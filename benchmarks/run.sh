#!/usr/bin/env bash
# All benchmarks in one command; writes docs/benchmarks.md. Nothing else should run meanwhile.
#
#   bash benchmarks/run.sh [FASSEG]
#
# FASSEG is the folder of the data set with its splits.json; without it the minutes to an
# accuracy are left out.
set -euo pipefail
data="${1:+$(realpath "$1")}"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -x .venv/bin/python ] && export PATH="$PWD/.venv/bin:$PATH"
page="$(mktemp)"

# The window needs a screen: the one that is there, or a virtual one.
screen=()
if command -v xvfb-run > /dev/null; then screen=(xvfb-run -a); fi
if [ -n "${DISPLAY:-}" ]; then screen=(env); fi

section() { printf '\n## %s\n\n' "$1"; }

{
    printf '# Benchmarks\n\nWritten by `benchmarks/run.sh`; no figure here was entered by hand. Times are medians of\n'
    printf 'one run in which all take turns.\n'
    section "Refining one face"
    printf 'Goals: at most 1.10 times the bare pass; quicker than GrabCut and random walker, at a third of\n'
    printf 'their error.\n\n'
    python benchmarks/refine.py
    section "Refining a folder"
    printf 'Goal: at least 90 %% of the speed of the refiner alone.\n\n'
    python benchmarks/refine_folder.py --count 5000
    section "Parts of an image of 100 megapixels"
    python benchmarks/large.py
    section "Strokes with the instant refiner"
    printf 'Goal: 300 ms on 1,000 x 1,000.\n\n'
    python benchmarks/instant_session.py
    if [ "${#screen[@]}" -gt 0 ]; then
        section "Opening the widgets"
        printf 'Goal: no stall above 300 ms, in a napari that has not used the plugin before. A stall is how late a timer of the window\n'
        printf 'comes, from the click until the modules for later are imported in the background.\n\n'
        "${screen[@]}" python benchmarks/opening.py
        section "Refining inside napari"
        printf 'Goal: no stall above 100 ms. An image of 2,000 x 2,000; a stall is how late a timer of the window comes.\n\n'
        "${screen[@]}" python benchmarks/refine_widget.py
        section "Reviewing inside napari"
        printf 'Goal: no stall above 100 ms. A stall is how late a timer of the window comes when a key is pressed, drawing included.\n\n'
        "${screen[@]}" python benchmarks/review_widget.py
    fi
    section "A training step"
    printf 'Goal: at least 95 %% of the throughput. The bare loop is the same network, loss and optimiser on one batch that lies ready in memory.\n\n'
    python benchmarks/train.py
    if [ "${#screen[@]}" -gt 0 ]; then
        section "Training inside napari"
        printf 'Goals: at least 90 %% of the throughput, and while training no stall above 100 ms. The same run by the command and in\n'
        printf 'the widget; a stall is how late a timer of the window comes. Once in a\n'
        printf 'while it is that Python looks through all that torch has loaded for what is not needed any more.\n\n'
        "${screen[@]}" python benchmarks/train_widget.py
    fi
    if [ -n "$data" ]; then
        section "Minutes to 94.5 % validation accuracy"
        printf 'Goal: 3 minutes. From the start of the run, reading the data included.\n\n'
        python benchmarks/train.py --data "$data" --splits "$data/splits.json"
    fi
    printf '\n| | |\n| --- | --- |\n| command | `bash benchmarks/run.sh FASSEG` |\n'
    printf '| hardware | %s |\n| date | %s |\n' "$(python -c "
import sys; sys.path.insert(0, 'scripts')
from results import default_hardware; print(default_hardware())")" "$(date -u +%F)"
} 2> >(grep -v "Mixed Precision" >&2) | tee "$page"
mv "$page" docs/benchmarks.md
chmod 644 docs/benchmarks.md
