#!/usr/bin/env bash
# Adapts the last layer of a gesture classifier on an emulated Cortex-M4F. The firmware must
# print the same digits as the example on the host, and use at most 32 KiB of RAM.
#
#   bash embedded/gestures.sh
#
# Packages: qemu-system-arm binutils-arm-none-eabi, and those of cross.sh.
set -euo pipefail
cd "$(dirname "$0")"
source ./cross.sh

most=32768
expected=$(cd .. && env -u CARGO_TARGET_DIR cargo run --quiet --release --example gestures | sed '1,/^$/d')
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
# Builds for size like README's profile for firmware; the workspace's own profile has 3.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=s
target=thumbv7em-none-eabihf
cross $target build --locked --quiet --release -p gestures
elf=$CARGO_TARGET_DIR/$target/release/gestures
found=$(timeout 600 qemu-system-arm -M mps2-an386 -nographic \
    -semihosting-config enable=on,target=native -kernel "$elf" </dev/null)
echo "$found"
if ! diff <(echo "$expected") <(grep -v '^stack' <<<"$found"); then
    echo "gestures: the board found something else than the host (first)" >&2
    exit 1
fi
static=$(arm-none-eabi-size -A "$elf" | awk '/^\.(data|bss) /{ n += $2 } END { print n + 0 }')
flash=$(arm-none-eabi-size -A "$elf" | awk '/^\.(vector_table|text|rodata|data) /{ n += $2 } END { print n + 0 }')
stack=$(sed -n 's/^stack: \([0-9]*\) bytes$/\1/p' <<<"$found")
ram=$((stack + static))
echo "gestures m4 ram $ram of $most, flash $flash with the weights, same bits"
if ((ram > most)); then
    echo "gestures: expected at most $most bytes of RAM, found $ram" >&2
    exit 1
fi
