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
    echo "bootstrap: $1" >&2
    exit 2
}

check_system() {
    local wanted=() packages=()
    if ! "$python" --version > /dev/null 2>&1; then
        wanted+=("a working Python ('$python' does not run; PYTHON=... names another)")
        packages+=(python3 python3-venv)
    else
        check_python_version
        if ! "$python" -c 'import venv, ensurepip' > /dev/null 2>&1; then
            wanted+=("the modules venv and ensurepip of $python")
            packages+=(python3-venv)
        fi
    fi
    if ! command -v "$compiler" > /dev/null; then
        wanted+=("the C compiler $compiler")
        packages+=(gcc libc6-dev)
    elif ! echo '#include <stdio.h>' | "$compiler" -E -x c - > /dev/null 2>&1; then
        wanted+=("the C library's headers")
        packages+=(libc6-dev)
    fi
    if [ ${#wanted[@]} -gt 0 ]; then
        fail "missing: $(join '; ' "${wanted[@]}"). On Debian: apt-get install ${packages[*]}"
    fi
}

check_python_version() {
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    case $version in
        3.11 | 3.12 | 3.13) ;;
        *) fail "$python is Python $version, and 3.11, 3.12 or 3.13 is needed. On Debian 12 or later:" \
                "apt-get install python3 python3-venv; PYTHON=... names another Python" ;;
    esac
}

join() {
    local separator=$1 joined=$2
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
        | tee "$log" | { grep --line-buffered -oE '^(Collecting [^ ;]+|Building wheel.*|Installing)' || true; }; then
        return
    fi
    explain_failure
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
