#!/usr/bin/env bash
# Everything that has to pass: style, types, manifest, documentation, tests.
# Arguments go to pytest, as in: bash scripts/test.sh tests/core -k classes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

say "Style"
ruff check .
ruff format --check .

say "Types"
mypy

say "Imports between rooms"
lint-imports

say "Plugin manifest"
npe2 validate napari.yaml
npe2 validate --imports napari-c2f

say "Documentation"
NO_MKDOCS_2_WARNING=1 mkdocs build --strict

say "Tests"
# One worker per core; each test process computes with one thread, for two on a core are slower.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
pytest -n logical --maxprocesses 8 --dist worksteal "$@"
