# Sourced by demo.sh and test.sh, with the root of the clone as working directory:
# brings the system packages and the virtual environment .venv up to date.
# A second call finds everything in place and takes a second or two.

venv="$PWD/.venv"
minimum_python="3.11"

say() { printf '\n==> %s\n' "$*"; }
fail() { printf '\nerror: %s\n' "$*" >&2; exit 1; }

# True if Debian package $1 is installed; since 2024 some carry the suffix "t64".
installed() {
    local name
    for name in "$1" "$1t64"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] && return 0
    done
    return 1
}

install_system_packages() {
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        say "No apt-get here: the libraries in apt-packages.txt are taken to be present"
        return
    fi
    local package missing=() root=()
    while read -r package; do
        installed "$package" || missing+=("$package")
    done < <(grep -v '^#' apt-packages.txt)
    [ "${#missing[@]}" -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "These packages are missing; have them installed" \
            "and start again: apt-get install ${missing[*]}"
        root=(sudo)
    fi
    say "Installing ${#missing[@]} system packages: ${missing[*]}"
    "${root[@]}" apt-get update
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"
}

# Prints the first Python that is new enough; not that of .venv, which may be about to go.
find_python() {
    local candidate PATH=":$PATH:"
    PATH="${PATH//:"$venv/bin":/:}"
    PATH="${PATH#:}"
    PATH="${PATH%:}"
    for candidate in python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c "import ensurepip, sys
sys.exit(sys.version_info < tuple(map(int, '$minimum_python'.split('.'))))" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Prints the values of pip's option $1: first from the environment, then from its configuration files.
pip_setting() {
    "$venv/bin/python" -m pip config list | sed -n "s/^[^=]*\\.$1='\\(.*\\)'\$/\\1/p" | sed 's/\\n/ /g'
}

# Fills the array uv_options: uv does not read pip's configuration, so it is handed over. Where
# pip is configured without other sources and there is no NVIDIA driver, the CPU build of torch
# is taken if its index answers; the build on PyPI brings some gigabytes of CUDA libraries.
choose_sources() {
    local value
    uv_options=(-c constraints.txt --override overrides.txt --index-strategy unsafe-best-match)
    value="$(pip_setting cert | head -n 1)"
    [ -n "$value" ] && export SSL_CERT_FILE="$value"
    value="$(pip_setting index-url | head -n 1)"
    [ -n "$value" ] && uv_options+=(--index-url "$value")
    local sources=0
    for value in $(pip_setting find-links); do
        uv_options+=(--find-links "$value")
        sources=1
    done
    for value in $(pip_setting extra-index-url); do
        uv_options+=(--extra-index-url "$value")
        sources=1
    done
    [ "$sources" -eq 1 ] && return
    command -v nvidia-smi >/dev/null && return
    if "$venv/bin/python" -c "import urllib.request
urllib.request.urlopen('https://download.pytorch.org/whl/cpu/torch/', timeout=10)" 2>/dev/null
    then
        uv_options+=(--torch-backend cpu)
    else
        say "The index of CPU builds of torch does not answer: taking the larger build from PyPI"
    fi
}

install_python_packages() {
    local python stamp backend=()
    [ "${QT_API:-}" = pyside6 ] && backend=(PySide6)
    python="$(find_python)" || fail "Python $minimum_python or newer with venv is needed;" \
        "Debian 12, Ubuntu 24.04 and newer have it as python3 and python3-venv."
    stamp="$({ echo "$PWD"; "$python" --version; cat pyproject.toml constraints.txt overrides.txt; echo "${QT_API:-}"; } | sha256sum)"
    [ -f "$venv/stamp" ] && [ "$(cat "$venv/stamp")" = "$stamp" ] && return
    say "Creating the virtual environment $venv ($("$python" --version))"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
    choose_sources
    say "Installing the Python packages (2.4 GB on disk; some minutes when first fetched)"
    "$venv/bin/uv" pip install --compile-bytecode --python "$venv/bin/python" "${uv_options[@]}" -e . --group dev --group bioimageio "${backend[@]}"
    printf '%s\n' "$stamp" > "$venv/stamp"
}

install_system_packages
install_python_packages
export PATH="$venv/bin:$PATH"
