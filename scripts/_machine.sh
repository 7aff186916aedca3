# Sourced after _lib.sh by the checks that run in a virtual machine: each has one of its own, which goes when they end.
# shellcheck shell=bash

machines=${RIG_DIR:-/tmp/rig}
name=${0##*/}-$$
# What goes into it, for whoever sources this.
tree=$(mktemp -d)
# Set to "yes" to keep what the machine leaves behind.
lost=

# the traps below call it
# shellcheck disable=SC2317
clean_up() {
    [ -z "${rig:-}" ] || "$rig/vm.py" down --name "$name" || true
    [ -n "$lost" ] || rm -rf "${machines:?}/vm-$name"
    rm -rf "$tree"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# use_rig DIRECTORY [ARCHITECTURE]: that of the machine, whose image must have been built
use_rig() {
    local directory images=$machines${2:+/$2}
    [ -x "$1/vm.py" ] || die "there is no vm.py in $1"
    directory=$(cd "$1" && pwd)
    [ -e "$images/image.raw" ] ||
        die "the machine has not been built; type: $directory/build${2:+ $2} && $directory/vm.py freeze${2:+ --arch $2}"
    rig=$directory
    start=(up ${2:+--arch "$2"})
    [ ! -e "$images/frozen/params.json" ] || start+=(--fast) # from where it was frozen
}

# start_machine: as root with a little precedence over other programs
start_machine() {
    local hurry=()
    [ "$(id -u)" != 0 ] || hurry=(nice -n -10)
    say "starting the machine (processes waiting here: $(cut -d' ' -f1 /proc/loadavg); the fewer, the better)"
    "${hurry[@]}" "$rig/vm.py" "${start[@]}" --name "$name"
}

# vm VERB ARGUMENT…: vm.py for this machine
vm() {
    local verb=$1
    shift
    "$rig/vm.py" "$verb" --name "$name" "$@"
}
