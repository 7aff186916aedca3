# Sourced by the scripts that try things in fresh Debians: makes them, runs programs in them, boots them.
# shellcheck shell=bash
# shellcheck disable=SC2154  # root: _lib.sh, which is sourced before

fetched=$root/build/install-check # Debians as they were fetched

# begin_systems: a directory for them, "work", which goes when the script ends
begin_systems() {
    [ "$(id -u)" = 0 ] || die "this makes whole systems, so it needs root; type: sudo $0"
    need_packages mmdebstrap systemd-container
    work=$(mktemp -d -p "${TMPDIR:-/var/tmp}")
    trap 'rm -rf --one-file-system "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# inside DIRECTORY PROGRAM…: in that system, without booting it
inside() {
    local directory=$1
    shift
    # it complains of its own clean-up where it may not make mount points of its own
    systemd-nspawn --register=no --keep-unit --quiet --pipe --directory="$directory" "$@" \
        2> >(grep -v 'Attempted to remove disk file system' >&2)
}

# make_system SUITE DIRECTORY: as a new box has it, with a copy of this tree in /tree
make_system() {
    local packages=systemd,systemd-sysv,udev,dbus,ca-certificates,python3
    mkdir -p "$fetched" "$2"
    if [ ! -e "$fetched/$1.tar" ]; then
        say "fetching Debian $1"
        mmdebstrap --quiet --variant=minbase --include="$packages" "$1" "$fetched/new-$1.tar" >&2 ||
            die "Debian $1 could not be fetched; the message is above"
        mv "$fetched/new-$1.tar" "$fetched/$1.tar"
    fi
    tar -xf "$fetched/$1.tar" -C "$2"
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$2/etc"
    find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$2/usr/local/share/ca-certificates" ';'
    inside "$2" update-ca-certificates >/dev/null 2>&1
    mkdir "$2/tree"
    git -C "$root" ls-files --cached --others --exclude-standard -z |
        tar -C "$root" --null --files-from=- --ignore-failed-read -c 2>/dev/null | tar -C "$2/tree" -x
}

# boot DIRECTORY PROGRAM…: until that program, which runs in it as a service, has ended; its status
boot() {
    local directory=$1 status=0
    shift
    cat >"$directory/etc/systemd/system/installation.service" <<UNIT
[Unit]
After=multi-user.target
SuccessAction=exit
FailureAction=exit

[Service]
Type=exec
ExecStart=$*
Environment=PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WorkingDirectory=/tree
StandardOutput=append:/report
StandardError=append:/report

[Install]
WantedBy=multi-user.target
UNIT
    : >"$directory/report"
    inside "$directory" systemctl enable --quiet installation.service
    tail --follow --pid=$$ "$directory/report" &
    (boot_only "$directory") || status=$?
    sleep 1 # for the last lines
    kill $!
    return "$status"
}

# boot_only DIRECTORY: until it is switched off; takes the place of this process, so that ending that ends the system
boot_only() {
    exec systemd-nspawn --register=no --keep-unit --quiet --console=pipe --boot --directory="$1" \
        SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 </dev/null >"$1.console" 2>&1
}
