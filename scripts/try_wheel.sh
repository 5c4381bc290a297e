#!/usr/bin/env bash
# Installs a wheel with the extra "all" into a new environment, away from the sources, and uses it:
#   bash scripts/try_wheel.sh dist/*.whl [FOLDER]
# FOLDER keeps the demo's files and a picture of napari; without it they are only checked.
set -euo pipefail
wheel="$(realpath "$1")"
output="$(realpath -m "${2:-$(mktemp -d)}")"
scripts="$(dirname "$(realpath "${BASH_SOURCE[0]}")")"

cd "$(mktemp -d)"
python3 -m venv environment
environment/bin/python -m pip install --quiet --disable-pip-version-check uv
environment/bin/uv pip install --python environment/bin/python "$wheel[all]" "npe2>=0.7.7"
export PATH="$PWD/environment/bin:$PATH"
unset PYTHONPATH

npe2 validate --imports napari-c2f
c2f-refine --help > help.txt
python -c "import c2f_core; assert 'environment' in c2f_core.__file__"
python "$scripts/demo.py" --output "$output"
xvfb-run -a -s "-screen 0 1920x1200x24" python "$scripts/screenshot.py" "$output/screenshot.png"
ls -l "$output"
