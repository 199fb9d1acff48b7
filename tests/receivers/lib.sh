# What the scripts here share. To be read by `source`, with bash, from a script in a folder beside it.
#
# Everything that is installed lies in $SCAIDRIVE_RECEIVERS_DIR, in one folder per receiver; without that variable in
# `receivers` below cargo's target directory. An `install` script leaves with 0 when the receiver can be used, with 69
# (EX_UNAVAILABLE of sysexits.h) when this machine lacks what it takes, and says which in the last line of its errors.

receiver=$(basename "$here")
workspace=$(cd "$here/../../.." && pwd)
cache=${SCAIDRIVE_RECEIVERS_DIR:-${CARGO_TARGET_DIR:-$workspace/target}/receivers}
place=$cache/$receiver

# missing REASON: this machine cannot have the receiver.
missing() {
    echo "$1" >&2
    exit 69
}

# need COMMAND HINT: gives up where there is no such command.
need() {
    command -v "$1" >/dev/null || missing "there is no $1 ($2)"
}

# once COMMAND FILE...: runs the command, unless it has succeeded before on the same files. Tests that come at the same
# time wait for one another. What the command installs is for $place, which is empty when it begins.
once() {
    local command=$1 digest
    shift
    digest=$(cat "$@" | sha256sum)
    mkdir -p "$cache"
    exec 9>"$cache/$receiver.lock"
    flock 9
    if [[ -f $place/installed && $(<"$place/installed") == "$digest" ]]; then
        return
    fi
    rm -rf "$place"
    mkdir -p "$place"
    "$command" >&2 || missing "$receiver could not be installed; its installer's words are above"
    echo "$digest" >"$place/installed"
}
