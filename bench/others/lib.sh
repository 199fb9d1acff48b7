# What the scripts here share, to be read by `source`: the functions of tests/receivers/lib.sh, and a cache of their own.
#
# Everything that is installed lies in $SCAIDRIVE_OTHERS_DIR, in one folder per program; without that variable in `others`
# below cargo's target directory.

source "$here/../../../tests/receivers/lib.sh"
cache=${SCAIDRIVE_OTHERS_DIR:-${CARGO_TARGET_DIR:-$workspace/target}/others}
place=$cache/$receiver
