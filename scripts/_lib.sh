# Sourced by the other scripts: installs what this machine lacks, then the project into .venv; builds its wheels.
# Doing it again costs next to nothing. All it says goes to standard error; standard output belongs to the result.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
locks=$root/lock
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# The box runs without them, but cannot reach a service (certificates), suppress noise, or be tried out (aplay).
MORE_PACKAGES=(ca-certificates libspeexdsp1 alsa-utils)
# MP3 that sounds while it still comes in. Debian 13 calls it libmpg123-0t64; apt finds that under this name, dpkg does not.
compgen -G '/usr/lib/*/libmpg123.so.0' >/dev/null || MORE_PACKAGES+=(libmpg123-0)
# pyaudio and systemd-python are built here: they come without wheels.
BUILD_PACKAGES=(python3 python3-venv python3-dev gcc libc6-dev pkg-config portaudio19-dev libsystemd-dev)
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

# listed PYTHON VERB ARGUMENT…: pip for what requirements files list with hashes, and nothing else: it fetches nothing that
# is not in them, and builds with what PYTHON has
listed() {
    local python=$1 verb=$2
    shift 2
    "$python" -m pip "$verb" --quiet --require-hashes --no-deps --no-build-isolation --use-pep517 "$@" >&2 ||
        die "not all that $locks lists could be had; pip's message is above. If hashes do not match, the index gave another file" \
            "than the one that is listed, and it was not used: see SECURITY.md, \"What it is made of\"." \
            "Otherwise: is this machine online? Then run this again."
}

# unlisted PYTHON VERB ARGUMENT…: pip for this tree itself; nothing is fetched
unlisted() {
    local python=$1 verb=$2
    shift 2
    "$python" -m pip "$verb" --quiet --no-index --no-deps --no-build-isolation --use-pep517 "$@" "$root" >&2 ||
        die "pip $verb $root failed; its message is above"
}

# install_project LOCKS STAMP…: the project, in place, and what these list, into .venv, unless that has been done
install_project() {
    local name lists=() stamp wanted python
    for name in $1; do lists+=(--requirement="$locks/$name.txt"); done
    shift
    wanted=$(cat "$root/pyproject.toml" "$locks/"*.txt <(echo "$root") | sha256sum)
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
    say "installing voicebox and its dependencies into $venv (takes a minute or two)"
    listed "$venv/bin/python" install --requirement="$locks/build.txt"
    listed "$venv/bin/python" install "${lists[@]}"
    unlisted "$venv/bin/python" install --editable
    for stamp; do echo "$wanted" >"$venv/$stamp"; done
}

# set_up demo|test: what that needs, on the machine and in .venv
set_up() {
    case $1 in
        demo)
            need_packages "${BUILD_PACKAGES[@]}" "${MORE_PACKAGES[@]}"
            install_project "box demo" .installed-demo
            ;;
        test)
            need_packages "${BUILD_PACKAGES[@]}" "${MORE_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
            install_project "box demo test" .installed-test .installed-demo
            ;;
    esac
}

# pins PATTERN [not]: the packages of lock/box.txt whose lines match it, or do not; whatever machine they are for
pins() {
    awk -v pattern="$1" -v other="${2:-}" '/^[^ #]/ { on = ($0 ~ pattern) != (other != ""); sub(/ ;[^\\]*/, " ") } on' "$locks/box.txt"
}

# aarch64_wheels PYTHON-VERSION DIRECTORY FILE: of what that lists, as a 64-bit Pi takes them; false if there is none of something
aarch64_wheels() {
    local platforms=(--platform={manylinux_2_{17..36},manylinux2014}_aarch64) # Debian 12 has glibc 2.36
    (listed "$venv/bin/python" download --only-binary=:all: --python-version "$1" --implementation cp \
        "${platforms[@]}" --dest "$2" --requirement="$3")
}

# own_version: of the project in this tree
own_version() { sed -n 's/^version = "\(.*\)"$/\1/p' "$root/pyproject.toml"; }

# While wheels are built: for whoever cleans up.
tools=

# build_wheels DIRECTORY [FILE…]: the wheels of the project and of all that lock/box.txt and these files list, and nothing
# else, for the Python and processor of this machine. Those of the dependencies are kept until a list or the Python changes.
build_wheels() {
    local directory=$1 python wanted
    shift
    need_packages "${BUILD_PACKAGES[@]}"
    python=$(find_python)
    set -- "$locks/box.txt" "$@"
    wanted=$({
        cat "$locks/build.txt" "$@"
        "$python" -VV
        uname -m
    } | sha256sum)
    mkdir -p "$directory"
    rm -rf "$directory"/.tools.* # of one that was interrupted
    tools=$(mktemp -d -p "$directory" .tools.XXXXXX) # /tmp may be in memory, and small
    "$python" -m venv "$tools" >&2 || die "the virtual environment could not be made; see above"
    python=$tools/bin/python
    TMPDIR=$tools listed "$python" install --requirement="$locks/build.txt"
    if [ "$(cat "$directory/.built" 2>/dev/null)" = "$wanted" ]; then
        say "building the wheel of voicebox; those of its dependencies are there"
        rm -f "$directory"/voicebox-*.whl
    else
        say "building the wheels of voicebox and its dependencies with $("$python" --version) (takes some minutes)"
        rm -f "$directory"/*.whl "$directory/.built"
        TMPDIR=$tools listed "$python" wheel --wheel-dir="$directory" "${@/#/--requirement=}"
    fi
    TMPDIR=$tools unlisted "$python" wheel --wheel-dir="$directory"
    "$python" "$root/scripts/sbom" "$directory" >"$directory/sbom.cdx.json"
    rm -rf "$tools"
    tools=
    echo "$wanted" >"$directory/.built"
}
