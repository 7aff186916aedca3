# Sourced by the other scripts: installs what this machine lacks, then the project into .venv; builds its wheels.
# Doing it again costs next to nothing. All it says goes to standard error; standard output belongs to the result.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# The box runs without them, but cannot reach a service (certificates), suppress noise, or be tried out (aplay).
MORE_PACKAGES=(ca-certificates libspeexdsp1 alsa-utils)
# MP3 that sounds while it still comes in. Debian 13 calls it libmpg123-0t64; apt finds that under this name, dpkg does not.
compgen -G '/usr/lib/*/libmpg123.so.0' >/dev/null || MORE_PACKAGES+=(libmpg123-0)
# PyAudio and systemd-python are built here: they come without wheels.
BUILD_PACKAGES=(python3 python3-venv python3-dev gcc libc6-dev pkg-config portaudio19-dev libsystemd-dev)
# What openwakeword asks for, and a box never loads: it only reads that package's files. 200 MB.
LEFT_OUT=(scipy scikit_learn joblib threadpoolctl narwhals cloudpickle tqdm)
# Sound devices without a sound card, voices to listen to, and what the checks run.
TEST_PACKAGES=(pulseaudio pulseaudio-utils libasound2-plugins espeak-ng flite sox systemd procps shellcheck mosquitto openssl)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# as_root COMMAND…: through sudo only where that is needed
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" >/dev/null
}

# need_packages PACKAGE…: installs those that are missing
need_packages() {
    local missing=() package
    command -v dpkg-query >/dev/null || {
        say "this is not Debian, Raspberry Pi OS or the like: if something is missing, install what these packages hold: $*"
        return
    }
    for package; do
        # ${Status} is dpkg-query's, not the shell's
        # shellcheck disable=SC2016
        [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
        die "these Debian packages are missing; become root and type: apt-get install ${missing[*]}"
    say "installing Debian packages (takes a minute or two): ${missing[*]}"
    apt update || say "the lists of packages could not all be renewed; trying with those that are here"
    apt install -y --no-install-recommends "${missing[@]}" ||
        die "apt-get could not install them; its message is above. Is this machine online? Then run this again."
}

# Python 3.11 or later that can make virtual environments and compile extensions
is_fit() {
    "$1" -c 'import ensurepip, os, sys, sysconfig, venv
sys.exit(sys.version_info < (3, 11) or not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
        2>/dev/null
}

find_python() {
    local python
    if [ -n "${PYTHON:-}" ]; then
        is_fit "$PYTHON" || die "PYTHON=$PYTHON is no Python 3.11 or later with the modules venv and ensurepip and its headers"
        echo "$PYTHON"
        return
    fi
    for python in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
        if is_fit "$python"; then
            echo "$python"
            return
        fi
    done
    die "Python 3.11 or later is needed, and $(/usr/bin/python3 --version 2>&1 || true) is what this machine has." \
        "Debian 12 and Raspberry Pi OS bookworm, or newer, bring one; or name another with its headers: PYTHON=/path/to/python3 $0"
}

# install_project EXTRAS STAMP…: the project with its pinned dependencies into .venv, unless that has been done
install_project() {
    local extras=$1 stamp wanted python
    shift
    wanted=$(cat "$root/pyproject.toml" "$root/constraints.txt" <(echo "$root") | sha256sum)
    if [ "$(cat "$venv/$1" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
        return
    fi
    [ -w "$([ -e "$venv" ] && echo "$venv" || echo "$root")" ] ||
        die "$(id -un) may not write to $venv; make it yours: sudo chown -R $(id -un) $root"
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        python=$(find_python)
        say "making a virtual environment in $venv with $("$python" --version)"
        "$python" -m venv --clear "$venv" >&2 || die "the virtual environment could not be made; see above"
    fi
    say "installing voicebox[$extras] and its dependencies into $venv (takes a minute or two)"
    # The constraints hold for the builds of PyAudio and systemd-python too; newer pips want to be told separately.
    PIP_CONSTRAINT=$root/constraints.txt PIP_BUILD_CONSTRAINT=$root/constraints.txt \
        "$venv/bin/python" -m pip install --quiet --use-pep517 -e "${root}[$extras]" >&2 ||
        die "pip could not install them; its message is above. Is this machine online? Then run this again."
    for stamp; do echo "$wanted" >"$venv/$stamp"; done
}

# set_up demo|test|bench: what that needs, on the machine and in .venv
set_up() {
    case $1 in
        demo)
            need_packages "${BUILD_PACKAGES[@]}" "${MORE_PACKAGES[@]}"
            install_project demo .installed-demo
            ;;
        test)
            need_packages "${BUILD_PACKAGES[@]}" "${MORE_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
            install_project demo,bench,test .installed-test .installed-demo
            ;;
        bench)
            need_packages "${BUILD_PACKAGES[@]}" "${MORE_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
            install_project demo,bench,test .installed-bench .installed-test .installed-demo
            ;;
    esac
}

# own_version: of the project in this tree
own_version() { sed -n 's/^version = "\(.*\)"$/\1/p' "$root/pyproject.toml"; }

# While wheels are built: for whoever cleans up.
tools=

# build_wheels DIRECTORY [REQUIREMENT…]: the wheels of the project and of all it needs, and nothing else, for the Python
# and processor of this machine. Those of the dependencies are kept until a pin or the Python changes.
build_wheels() {
    local directory=$1 python wanted name arguments=()
    shift
    need_packages "${BUILD_PACKAGES[@]}"
    python=$(find_python)
    wanted=$({
        grep -v '^version = ' "$root/pyproject.toml"
        cat "$root/constraints.txt"
        "$python" -VV
        uname -m
        echo "$*" "${LEFT_OUT[@]}"
    } | sha256sum)
    mkdir -p "$directory"
    rm -rf "$directory"/.tools.* # of one that was interrupted
    tools=$(mktemp -d -p "$directory" .tools.XXXXXX) # /tmp may be in memory, and small
    "$python" -m venv "$tools" >&2 || die "the virtual environment could not be made; see above"
    if [ "$(cat "$directory/.built" 2>/dev/null)" = "$wanted" ]; then
        say "building the wheel of voicebox; those of its dependencies are there"
        rm -f "$directory"/voicebox-*.whl
        arguments=(--no-deps)
        set --
    else
        say "building the wheels of voicebox and its dependencies with $("$python" --version) (takes some minutes)"
        rm -f "$directory"/*.whl "$directory/.built"
    fi
    TMPDIR=$tools PIP_CONSTRAINT=$root/constraints.txt PIP_BUILD_CONSTRAINT=$root/constraints.txt \
        "$tools/bin/python" -m pip wheel --quiet --use-pep517 --wheel-dir "$directory" "${arguments[@]}" "$root" "$@" >&2 ||
        die "pip could not build the wheels; its message is above. Is this machine online? Then run this again."
    for name in "${LEFT_OUT[@]}"; do rm -f "$directory/$name"-*.whl; done
    rm -rf "$tools"
    tools=
    "$python" "$root/scripts/sbom" "$directory" >"$directory/sbom.cdx.json"
    echo "$wanted" >"$directory/.built"
}
