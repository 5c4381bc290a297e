#!/usr/bin/env bash
# Shows the plugin at work: in a window, or without a screen as files in demo-output/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    say "Opening napari with the sample"
    exec python scripts/demo.py
fi

say "There is no screen: refining the sample into demo-output/"
python scripts/demo.py --output demo-output
say "Taking a picture of napari with the plugin on a virtual screen"
xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/screenshot.py demo-output/screenshot.png
say "Look at these:"
for file in demo-output/*; do printf '%s\n' "$PWD/$file"; done
