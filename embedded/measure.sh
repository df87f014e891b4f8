# To be sourced: firmware on an emulated Cortex-M4F, and what it takes.
#
# Packages: qemu-system-arm binutils-arm-none-eabi, and those of cross.sh.
source ./cross.sh

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
# Builds for size like README's profile for firmware; the workspace's own profile has 3.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=s
target=thumbv7em-none-eabihf

# build PACKAGE ARGUMENTS…: builds firmware, which elf PACKAGE names.
build() {
    cross $target build --locked --quiet --release -p "$@"
}

elf() {
    echo "$CARGO_TARGET_DIR/$target/release/$1"
}

# sections PACKAGE 'NAME|NAME…': the bytes of these sections.
sections() {
    arm-none-eabi-size -A "$(elf "$1")" |
        awk -v names="^\\\\.($2)\$" '$1 ~ names { n += $2 } END { print n + 0 }'
}

# flash PACKAGE: bytes, without the vector table, which every firmware has.
flash() {
    sections "$1" 'text|rodata|data'
}

# emulate PACKAGE ARGUMENTS OF QEMU…: prints what the firmware does; fails if it does.
emulate() {
    timeout 600 qemu-system-arm -M mps2-an386 "${@:2}" -nographic \
        -semihosting-config enable=on,target=native -kernel "$(elf "$1")" </dev/null
}

# count PACKAGE: the same, with a clock that counts instructions.
count() {
    emulate "$1" -icount shift=0,sleep=off
}

# same_as_host EXAMPLE LINES OWN: runs the firmware of an example, and leaves what it printed in
# `found`. Fails unless that is what the example prints on the host, of which `sed LINES` takes
# the part to compare, apart from lines of its own that begin with OWN.
same_as_host() {
    local expected
    expected=$(cd .. && env -u CARGO_TARGET_DIR -u CARGO_PROFILE_RELEASE_OPT_LEVEL \
        cargo run --quiet --release --example "$1" | sed "$2")
    build "$1"
    found=$(emulate "$1")
    echo "$found"
    if ! diff <(echo "$expected") <(grep -v "^$3" <<<"$found"); then
        echo "$1: the board found something else than the host (first)" >&2
        return 1
    fi
}

# require_ram EXAMPLE FOUND MOST: fails if it took more bytes.
require_ram() {
    if (($2 > $3)); then
        echo "$1: expected at most $3 bytes of RAM, found $2" >&2
        return 1
    fi
}
