#!/bin/bash
# Plants each fault of tests/planted-faults.toml in a copy of the sources and expects its test to notice.
# Usage: tests/planted-faults.sh [part of a fault's name]
# PLANTED_TARGET names a target directory to keep between runs. Needs bash, perl, tar and cargo.
set -euo pipefail
cd "$(dirname "$0")/.."
only=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR=${PLANTED_TARGET:-$work/target}
# Optimised code would only make the copies slower to build.
tar -cf - --exclude='./target*' --exclude='./.git' --exclude='./*/fuzz/target' . | tar -xf - -C "$work"
passed=0 failed=0

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

# Runs the test of the current fault; prints "ok", "FAILED" or "broken".
run_test() {
    local which=()
    case $target in
        '') ;;
        lib) which=(--lib) ;;
        *) which=(--test "$target") ;;
    esac
    local output
    output=$(cd "$work" && RUST_BACKTRACE=0 timeout 600 \
        cargo test -q -p "$package" --features "$features" "${which[@]}" -- "$test" --format pretty 2>&1) || true
    if grep -q "^test .*$test .*FAILED" <<<"$output"; then echo FAILED
    elif grep -q "^test .*$test .*ok" <<<"$output"; then echo ok
    else echo "broken: $(tail -n 5 <<<"$output" | tr '\n' ' ')"; fi
}

declare -A sound
for ((number = 0; ; number++)); do
    name=$(field "$number" name) || break
    [[ -n $only && $name != *"$only"* ]] && continue
    file=$(field "$number" file) test=$(field "$number" test) package=$(field "$number" package)
    features=$(field "$number" features) target=$(field "$number" target) count=$(field "$number" count)
    key="$package $target $test"
    [[ -n ${sound[$key]:-} ]] || sound[$key]=$(run_test)
    if [[ ${sound[$key]} != ok ]]; then
        echo "FAIL $name: without the fault, $test is ${sound[$key]}"
        failed=$((failed + 1))
        continue
    fi
    cp "$work/$file" "$work/sound"
    found=$(FIND=$(field "$number" find; echo x) REPLACE=$(field "$number" replace; echo x) perl -0777 -i -pe '
        BEGIN { chop(my $f = $ENV{FIND}); $find = $f; chop(my $r = $ENV{REPLACE}); $replace = $r }
        $found = s/\Q$find\E/$replace/g;
        END { print STDERR $found + 0 }' "$work/$file" 2>&1)
    if [[ $found != "${count:-1}" ]]; then
        echo "FAIL $name: the text to replace occurs $found times in $file"
        failed=$((failed + 1))
    else
        outcome=$(run_test)
        if [[ $outcome == FAILED ]]; then
            echo "ok   $name: $test notices"
            passed=$((passed + 1))
        else
            echo "FAIL $name: with the fault, $test is $outcome"
            failed=$((failed + 1))
        fi
    fi
    # A new time stamp, or cargo would keep what it built from the fault.
    cat "$work/sound" >"$work/$file"
done
echo "$passed passed, $failed failed"
[[ $failed == 0 && $passed -gt 0 ]]
