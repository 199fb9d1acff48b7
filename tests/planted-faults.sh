#!/bin/bash
# Plants each fault of tests/planted-faults.toml in a copy of the sources and expects its test to notice.
# Usage: tests/planted-faults.sh [part of a fault's name]
# PLANTED_TARGET names a target directory to keep between runs. Dependencies that `cargo test --workspace` has built are taken
# from cargo's usual one. Needs bash, perl, tar and cargo.
set -euo pipefail
cd "$(dirname "$0")/.."
only=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A fault is one crate built and one test run, mostly on one processor. So the log's faults, which need little else built, have
# a copy of the sources of their own beside all others.
copies=(wal others)

# One field of fault number $1.
field() {
    perl -0777 -ne '
        BEGIN { ($number, $key) = (shift @ARGV, shift @ARGV) }
        my @faults = split /^\[\[fault\]\]\n/m; shift @faults;
        exit 3 if $number >= @faults;
        for ($faults[$number]) {
            if (/^$key = \x27(.*)\x27$/m) { print $1 }
            elsif (/^$key = "(.*)"$/m) { my $v = $1; $v =~ s/\\n/\n/g; $v =~ s/\\"/"/g; $v =~ s/\\\\/\\/g; print $v }
            elsif (/^$key = (\d+)$/m) { print $1 }
        }' "$1" "$2" tests/planted-faults.toml
}

# Cargo's arguments that build the test binary of the current fault.
binary() {
    # By the same features as `cargo test --workspace`, or dependencies would be built again.
    if [[ $target == lib ]]; then
        echo "-p $package --features sim --lib"
    else
        echo "--workspace --test $target"
    fi
}

# Runs the test of the current fault; prints "ok", "FAILED" or "broken".
run_test() {
    local output
    # shellcheck disable=SC2046 # words of their own
    output=$(cd "$work" && RUST_BACKTRACE=0 timeout 600 cargo test -q $(binary) -- "$test" --format pretty 2>&1) || true
    if grep -q "^test .*$test .*FAILED" <<<"$output"; then echo FAILED
    elif grep -q "^test .*$test .*ok" <<<"$output"; then echo ok
    else echo "broken: $(tail -n 5 <<<"$output" | tr '\n' ' ')"; fi
}

# Plants the current fault; prints "ok" or "FAIL", and why.
plant() {
    local key="$package $target $test" found outcome
    if [[ ${sound[$key]} != ok ]]; then
        echo "FAIL $name: without the fault, $test is ${sound[$key]}"
        return
    fi
    cp "$work/$file" "$work/sound"
    found=$(FIND=$(field "$number" find; echo x) REPLACE=$(field "$number" replace; echo x) perl -0777 -i -pe '
        BEGIN { chop(my $f = $ENV{FIND}); $find = $f; chop(my $r = $ENV{REPLACE}); $replace = $r }
        $found = s/\Q$find\E/$replace/g;
        END { print STDERR $found + 0 }' "$work/$file" 2>&1)
    if [[ $found != "${count:-1}" ]]; then
        echo "FAIL $name: the text to replace occurs $found times in $file"
    else
        outcome=$(run_test)
        if [[ $outcome == FAILED ]]; then
            echo "ok   $name: $test notices"
        else
            echo "FAIL $name: with the fault, $test is $outcome"
        fi
    fi
    # A new time stamp, or cargo would keep what it built from the fault.
    cat "$work/sound" >"$work/$file"
}

# Plants the faults that belong to copy $1.
plant_in_copy() {
    local number name copy file test package target count
    local -A built sound
    borrow_dependencies "$1"
    work=$work/copy-$1
    mkdir "$work"
    # Optimised code would only make the copies slower to build.
    tar -cf - --exclude='./target*' --exclude='./.git' --exclude='./*/fuzz/target' . | tar -xf - -C "$work"
    each_fault "$1" build
    # All tests on sound sources first: in turns with faults each would be built again.
    each_fault "$1" try_sound
    each_fault "$1" plant
}

# Makes the target directory of copy $1, with the dependencies that are built already: whatever is not ours is the same there.
borrow_dependencies() {
    local usual=${CARGO_TARGET_DIR:-target}/debug folder
    export CARGO_TARGET_DIR=${PLANTED_TARGET:-$work/target}/copy-$1
    [[ -d $usual/.fingerprint && ! -e $CARGO_TARGET_DIR/debug ]] || return 0
    for folder in deps build .fingerprint; do
        mkdir -p "$CARGO_TARGET_DIR/debug/$folder"
        find "$usual/$folder" -mindepth 1 -maxdepth 1 ! -name '*scaidrive*' \( -type d -o -name 'lib*.r*' -o -name 'lib*.so' -o -name '*.d' \) -print0 |
            xargs -0 --no-run-if-empty cp -a --reflink=auto -t "$CARGO_TARGET_DIR/debug/$folder"
    done
}

# What a machine with nothing built takes for this is no matter of any test, so it has no limit of its own.
build() {
    local arguments
    arguments=$(binary)
    [[ -n ${built[$arguments]:-} ]] && return
    built[$arguments]=yes
    # shellcheck disable=SC2086 # words of their own
    (cd "$work" && cargo test -q --no-run $arguments)
}

try_sound() {
    local key="$package $target $test"
    [[ -n ${sound[$key]:-} ]] || sound[$key]=$(run_test)
}

# Calls $2 for each fault that belongs to copy $1.
each_fault() {
    for ((number = 0; ; number++)); do
        name=$(field "$number" name) || break
        package=$(field "$number" package) copy=others
        [[ $package != scaidrive-wal ]] || copy=wal
        [[ $copy == "$1" && $name == *"$only"* ]] || continue
        file=$(field "$number" file) test=$(field "$number" test)
        target=$(field "$number" target) count=$(field "$number" count)
        "$2"
    done
}

for copy in "${copies[@]}"; do
    plant_in_copy "$copy" >"$work/said-$copy" 2>&1 &
done
wait
cat "$work"/said-*
passed=$(cat "$work"/said-* | grep -c '^ok ') || true
# A copy that broke off has faults that nothing was said of.
total=$(grep '^name = ' tests/planted-faults.toml | grep -cF -- "$only") || true
echo "$passed passed, $((total - passed)) failed"
[[ $passed == "$total" && $passed -gt 0 ]]
