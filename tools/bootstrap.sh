#!/usr/bin/env bash
# Makes the virtual environment: checks what the system must have, then installs requirements.txt.
#
#   tools/bootstrap.sh VENV        PYTHON, CC and PIP_OPTIONS from the environment are heeded
#
# A finished environment has the file VENV/.installed; pip's output is in VENV/install.log.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:?usage: tools/bootstrap.sh VENV}
python=${PYTHON:-python3}
compiler=${CC:-gcc}
log=$venv/install.log

fail() {
    echo "bootstrap: $*" >&2
    exit 2
}

check_system() {
    wanted=() packages=()
    check_python
    check_compiler
    if [ ${#wanted[@]} -gt 0 ]; then
        fail "missing: $(join '; ' "${wanted[@]}"). On Debian 12 or later: apt-get install ${packages[*]}"
    fi
}

check_python() {
    local version other='PYTHON=... names another'
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null) || version=none
    case $version in
        3.11 | 3.12 | 3.13) check_venv_module ;;
        none) need "a Python ('$python' does not run; $other)" python3 python3-venv ;;
        *) need "a Python from 3.11 to 3.13 ('$python' is $version; $other)" python3 python3-venv ;;
    esac
}

check_venv_module() {
    "$python" -c 'import venv, ensurepip' > /dev/null 2>&1 \
        || need "the modules venv and ensurepip of '$python'" python3-venv
}

check_compiler() {
    # CC may hold several words, as in CC="ccache gcc".
    command -v "${compiler%% *}" > /dev/null || need "the C compiler '$compiler'" gcc
}

# need WHAT PACKAGE...: remember what is missing, and the Debian packages that bring it.
need() {
    wanted+=("$1")
    packages+=("${@:2}")
}

join() {
    local separator=$1 joined=$2 part
    shift 2
    for part in "$@"; do joined+=$separator$part; done
    echo "$joined"
}

install_packages() {
    local count
    count=$(grep -c == requirements.txt)
    echo "Installing $count packages into $venv (log: $log)"
    # shellcheck disable=SC2086  # PIP_OPTIONS holds several words
    if PYTHONUNBUFFERED=1 "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
        --retries 2 ${PIP_OPTIONS:-} -r requirements.txt 2>&1 \
        | tee "$log" | show_progress; then
        return
    fi
    explain_failure
}

show_progress() {
    # Collecting: from an index; Processing: a wheel file that lies on this machine.
    sed --unbuffered -nE -e 's/^Collecting ([^ ;]+).*/  \1/p' \
        -e 's#^Processing ([^ ]*/)?([^/ -]+-[^ -]+)-[^ ]*[.]whl.*#  \2#p' \
        -e 's/^(Building wheel.*)/  \1/p'
}

explain_failure() {
    if grep -qiE 'name resolution|failed to establish|network is unreachable|connection refused|ProxyError' "$log" \
        || grep -qiE 'timed out|Max retries exceeded|Connection (aborted|broken|reset)' "$log"; then
        fail "no network: pip cannot reach its package index; try again when it can (details: $log)"
    fi
    grep -E '^ERROR' "$log" | tail -n 3 >&2 || true
    fail "pip could not install requirements.txt (details: $log)"
}

check_system
rm -f "$venv/.installed"
"$python" -m venv --clear "$venv" || fail "$python could not make a virtual environment in $venv"
install_packages
touch "$venv/.installed"
echo "Ready: $venv ($("$venv/bin/python" --version))"
