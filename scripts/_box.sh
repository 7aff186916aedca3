# Sourced by scripts/install: what it does to the box, one step each. Whatever changes something goes through "change",
# so that --dry-run can print it instead.
# shellcheck shell=bash
# shellcheck disable=SC2154  # root: _lib.sh, which is sourced before

opt=/opt/voicebox
etc=/etc/voicebox
state=/var/lib/voicebox
cache=/var/cache/voicebox
units=/usr/local/lib/systemd/system # not /etc: that is where the owner's own changes go, which must outlast an upgrade
UNITS=(voicebox.service voicebox-shutdown.path voicebox-shutdown.service)
rules=/etc/udev/rules.d/60-voicebox.rules
program=/usr/local/bin/voicebox
completions=/usr/share/bash-completion/completions
READY_LIMIT=90 # seconds
# Without these it does not run (procps: kill, which reloads it).
RUN_PACKAGES=(python3 python3-venv libportaudio2 libsystemd0 procps)
ROOM=700 # MB: one version, and the wheels it comes from
# Installed with what we need and never loaded by it: not worth the minutes that compiling takes on a Pi.
NEVER_LOADED='/setuptools/|/onnxruntime/(tools|transformers|quantization)/'

dry=
building= # the directory of a version that is not complete yet

step() { if [ -n "$dry" ]; then echo "$*"; else say "$*"; fi; }

change() {
    if [ -n "$dry" ]; then
        printf '   '
        printf ' %q' "$@"
        echo
    else
        "$@"
    fi
}

aloud() { "$@" >&2; }

write() { printf '%s' "$2" >"$1"; }

runs_systemd() { [ -d /run/systemd/system ]; }

# target NAME: the version that the link NAME leads to
target() { readlink "$opt/$1" || true; }

# --- what must be so before anything is touched --------------------------------------------------------------------

check_machine() {
    local id version name architecture
    # shellcheck source=/dev/null
    read -r id version name < <(source "${OS_RELEASE:-/etc/os-release}" && echo "${ID:-?} ${VERSION_ID:-99} ${PRETTY_NAME:-this system}")
    case $id in
        debian | raspbian) ;;
        *) die "$name is neither Debian nor Raspberry Pi OS, and the box is made for these" ;;
    esac
    [ "${version%%.*}" -ge 12 ] || die "$name is too old: Debian 12 or Raspberry Pi OS bookworm is needed, or newer"
    architecture=$(dpkg --print-architecture)
    case $architecture in
        arm64 | amd64) ;;
        *)
            die "this is a system for $architecture, and onnxruntime, which hears the wake word, is made for 64 bits only." \
                "Write the 64-bit Raspberry Pi OS to the card: it runs on a Zero 2 W and on a Pi 3, 4 or 5"
            ;;
    esac
    command -v systemctl >/dev/null || die "there is no systemd here, and the box is one of its services"
}

check_root() { [ -n "$dry" ] || [ "$(id -u)" = 0 ] || die "this changes the system, so it needs root; type: sudo $0"; }

# One at a time. This lock leaves no file behind, and goes with the process, however that ends.
take_lock() {
    exec {lock}<"${opt%/*}"
    flock --nonblock "$lock" || die "another installation is going on; wait until it has ended"
}

check_room() {
    local free
    free=$(df --output=avail -BM "${opt%/*}" | tail -n 1 | tr -dc 0-9)
    [ "$free" -ge "$ROOM" ] ||
        die "${opt%/*} has $free MB left, and $ROOM are needed. Make room, for instance: sudo apt-get clean"
}

# What somebody made by hand is not ours to replace.
check_paths() {
    local path
    for path in "$opt/current" "$program"; do
        [ -L "$path" ] || [ ! -e "$path" ] ||
            die "$path was not made by this script; take it away first: sudo mv $path ~/voicebox-before"
    done
    [ ! -e /usr/lib/voicebox/bin/voicebox ] ||
        die "the Debian package voicebox is installed, and two are one too many; settings stay: sudo apt-get remove voicebox"
    [ ! -e /etc/systemd/system/voicebox.service ] ||
        say "/etc/systemd/system/voicebox.service takes the place of the service installed here; remove it unless you want that"
}

# --- a version, in its own directory -------------------------------------------------------------------------------

install_packages() {
    local package
    step "Debian packages"
    if [ -n "$dry" ]; then
        change apt-get install "${RUN_PACKAGES[@]}" "${MORE_PACKAGES[@]}"
        return
    fi
    need_packages "${RUN_PACKAGES[@]}"
    (need_packages "${MORE_PACKAGES[@]}") && return
    for package in "${MORE_PACKAGES[@]}"; do
        (need_packages "$package" 2>/dev/null) || say "going on without $package"
    done
}

# find_wheels: those of this tree, given or built now
find_wheels() {
    local wanted
    wanted=voicebox-$(own_version)-py3-none-any.whl
    if [ -n "$wheels" ]; then
        [ -e "$wheels/$wanted" ] || die "$wheels holds no $wanted, which is the version of this tree; make it: scripts/build-wheels $wheels"
        return
    fi
    [ -d "$root/voicebox" ] || die "here is only what installs the program; give its wheels, too: --wheels DIRECTORY"
    wheels=$cache/wheels
    step "wheels in $wheels"
    export PIP_NO_CACHE_DIR=1 # that would be a second one, in root's home
    change build_wheels "$wheels"
}

# free_name VERSION: a directory for it. One that is there may be running, so the same version again gets a number.
free_name() {
    local name=$1 number=1
    while [ -e "$opt/$name" ]; do
        number=$((number + 1))
        name=$1-$number
    done
    echo "$name"
}

# make_version NAME: changes nothing that runs, and is taken away again if the installation ends before it is complete.
make_version() {
    local directory=$opt/$1
    step "version $1 in $directory (takes a minute or two)"
    change mkdir -p "$opt"
    [ -n "$dry" ] || building=$directory
    change /usr/bin/python3 -m venv --without-pip "$directory"
    change install_wheels "$directory"
    change write_sbom "$directory"
    change add_pins_driver "$directory"
    # with byte-code, which the service may not write; and with what installs it, to take it back without a tree
    change "$directory/bin/python" -m compileall -q -j 0 -x "$NEVER_LOADED" "$directory/lib"
    change mkdir "$directory/tree"
    change cp -r "$root/scripts" "$root/systemd" "$root/config" "$root/pyproject.toml" "$directory/tree"
}

# write_sbom DIRECTORY: what was put there, for a scanner
write_sbom() { /usr/bin/python3 "$root/scripts/sbom" "$wheels" >"$1/sbom.cdx.json"; }

# complete_version NAME: from now on it may be used
complete_version() {
    [ -n "$dry" ] || "$opt/$1/bin/voicebox" completion bash >"$opt/$1/completion.bash"
    change touch "$opt/$1/complete"
    change sync
    building=
}

# When it ends early.
drop_unfinished() {
    [ -n "$building" ] || return 0
    rm -rf "$building"
    [ ! -L "$opt/current" ] || say "nothing was changed: version $(target current) is as it was"
}

# install_wheels DIRECTORY: all there are, so nothing is looked for elsewhere
install_wheels() {
    local pip missing
    pip=$(compgen -G '/usr/share/python-wheels/pip-*.whl' | tail -n 1)/pip # python3-venv's own
    /usr/bin/python3 "$pip" --python "$1/bin/python" install --quiet --no-compile --no-index --no-deps "$wheels"/*.whl >&2 ||
        die "pip could not install these wheels; its message is above. \"Not a supported wheel\" means that they were built" \
            "for another processor or Python than this machine's $(/usr/bin/python3 --version)"
    # what openwakeword alone asks for is left out on purpose (LEFT_OUT in scripts/lock)
    missing=$(/usr/bin/python3 "$pip" --python "$1/bin/python" check | grep -v -e '^openwakeword .* not installed' -e '^No broken') || true
    [ -z "$missing" ] ||
        die "the wheels in $wheels are not complete; build them anew: scripts/build-wheels $wheels"
}

# gpiozero's pin driver. PyPI has no wheel of it from Python 3.13 on, Raspberry Pi OS has a package. Only its two files
# are let in: with all of the system's packages in sight, those would stand in for the pinned ones.
add_pins_driver() {
    local file
    "$1/bin/python" -c 'import lgpio' 2>/dev/null && return
    if [ "$(dpkg --print-architecture)" = arm64 ]; then
        (need_packages python3-lgpio) || say "going on without lights and buttons on pins: Raspberry Pi OS has python3-lgpio, Debian has not"
    fi
    for file in /usr/lib/python3/dist-packages/{lgpio.py,_lgpio.*.so}; do
        [ ! -e "$file" ] || ln -s "$file" "$1"/lib/python3*/site-packages/
    done
}

# Says what is wrong with the settings before the version is used.
check_settings() {
    step "does version $1 accept the settings?"
    change aloud env -u VOICEBOX_CONFIG PYTHONDONTWRITEBYTECODE=1 "$opt/$1/bin/voicebox" check ||
        die "version $1 does not accept $etc/voicebox.toml, see above. Mend it, then run this again"
}

# link TARGET PATH: replaces what is there in one step
link() {
    change ln -sfn "$1" "$2.new"
    change mv -T "$2.new" "$2"
}

# directories whose names have no blanks: we made them
versions() { [ ! -d "$opt" ] || find "$opt" -mindepth 1 -maxdepth 1 -type d; }

# What an interrupted installation has left.
remove_leftovers() {
    local directory
    for directory in $(versions); do
        if [ ! -e "$directory/complete" ]; then
            step "$directory was left by an interrupted installation"
            change rm -rf "$directory"
        fi
    done
}

# What is neither used nor the one to go back to.
tidy_up() {
    local directory
    for directory in $(versions); do
        case ${directory##*/} in
            "$(target current)" | "$(target previous)") ;;
            *)
                step "removing the older version ${directory##*/}"
                change rm -rf "$directory"
                ;;
        esac
    done
}

# --- around it -----------------------------------------------------------------------------------------------------

# The user, its directories, the settings; and the pins, which belong to groups on Raspberry Pi OS and to root on Debian.
make_surroundings() {
    local group users openings=
    step "user voicebox, $etc, $state"
    users=$(grep -v '^#' "$root/systemd/voicebox.sysusers")
    for group in gpio spi; do
        if ! getent group "$group" >/dev/null; then
            users=$(grep -v "^m voicebox $group\$" <<<"$users")
            openings+=$(grep "^SUBSYSTEM==\"$group" "$root/systemd/voicebox.rules")$'\n'
        fi
    done
    change systemd-sysusers - <<<"$users"
    change systemd-tmpfiles --create "$root/systemd/voicebox.tmpfiles"
    [ -e "$etc/voicebox.toml" ] || change install -m 644 "$root/config/voicebox.toml" "$etc/voicebox.toml"
    open_pins "$openings"
}

open_pins() {
    if [ -n "$1" ]; then
        step "pins: where the groups gpio and spi are missing, $rules gives them to the user voicebox"
        change mkdir -p "${rules%/*}"
        change write "$rules" "$1"
    else
        change rm -f "$rules"
    fi
    if runs_systemd; then
        change udevadm control --reload || true # no udev in a container
        change udevadm trigger --action=change --subsystem-match=gpio --subsystem-match=spidev || true
    fi
}

# switch NAME: "current" leads to this version, and the units are its own. Copies: a link would be disabled for good by
# "systemctl disable".
switch() {
    local unit
    change mkdir -p "$units"
    for unit in "${UNITS[@]}"; do
        change install -m 644 "$opt/$1/tree/systemd/$unit" "$units/$unit.new"
        change mv "$units/$unit.new" "$units/$unit"
    done
    link "$1" "$opt/current"
    link "$opt/current/bin/voicebox" "$program"
    [ ! -d "$completions" ] || link "$opt/current/completion.bash" "$completions/voicebox"
    change sync
}

# light SCENE SECONDS: what a box that runs shows, if it has a light
light() { [ ! -x "$program" ] || "$program" light show "$1" --seconds "$2" >/dev/null 2>&1 || true; }

# --- the service ---------------------------------------------------------------------------------------------------

shown() { systemctl show --property="$1" --value voicebox.service; }

# service_state: none, disabled, or what systemd makes of it
service_state() {
    if [ ! -e "$units/voicebox.service" ]; then
        echo none
    elif [ "$(systemctl is-enabled voicebox.service 2>/dev/null)" = disabled ]; then
        echo disabled
    elif runs_systemd; then
        shown ActiveState
    fi
}

# enable_service: whether it can be started here
enable_service() {
    change systemctl enable --quiet voicebox.service voicebox-shutdown.path
    runs_systemd || say "systemd does not run here, so nothing is started; it will be when this system is booted"
    runs_systemd
}

# hears: whether the box says that it has its microphone
hears() {
    local answer
    answer=$("$program" status --json 2>/dev/null) && [[ $answer != *'"fault": "no microphone"'* ]]
}

# start HEARD: whether the service is ready within READY_LIMIT seconds; if HEARD is not empty, with its microphone
start() {
    local ends=$((SECONDS + READY_LIMIT))
    systemctl daemon-reload
    systemctl reset-failed voicebox.service 2>/dev/null || true # starts counting anew
    systemctl restart --no-block voicebox.service voicebox-shutdown.path
    while [ "$SECONDS" -lt "$ends" ]; do
        sleep 1
        case $(shown ActiveState) in
            active) [ -n "$1" ] && ! hears || return 0 ;;
            failed) return 1 ;;
        esac
        [ "$(shown NRestarts)" -lt 3 ] || return 1 # it ends again and again
    done
    return 1
}

# tell: what the service says of itself
tell() {
    say "systemd calls it $(shown ActiveState) ($(shown SubState)); its status: $(shown StatusText)"
    journalctl --quiet --no-pager --lines=20 --output=cat --unit=voicebox.service >&2 || true
}
