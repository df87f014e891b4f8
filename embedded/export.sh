#!/usr/bin/env bash
# Compiles functions that the crate prints as C with GCC for a Cortex-M4F, and runs them on an
# emulated one: for a million readings of each model they must give the bits of the crate on the
# host.
#
#   bash embedded/export.sh
#
# Packages: qemu-system-arm gcc-arm-none-eabi
set -euo pipefail
cd "$(dirname "$0")"

for command in qemu-system-arm arm-none-eabi-gcc; do
    command -v $command >/dev/null || {
        echo "$command: apt-get install qemu-system-arm gcc-arm-none-eabi" >&2
        exit 1
    }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# This test writes the printed functions and the expected bits to `$folder/check.c`.
(cd .. && env -u CARGO_TARGET_DIR BAREGRAD_EXPORT="$folder" \
    cargo test --quiet --test source printed_functions >/dev/null)
# compile FLAGS…: the program, with these flags.
compile() {
    # -ffreestanding: no C library; libgcc converts 64-bit integers.
    arm-none-eabi-gcc -std=c99 -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 \
        -fno-math-errno -ffreestanding -nostdlib -T export/link.ld "$@" \
        -o "$folder/check.elf" "$folder/check.c" export/main.c -lgcc
}

emulate() {
    timeout 600 qemu-system-arm -M mps2-an386 -nographic \
        -semihosting-config enable=on,target=native -kernel "$folder/check.elf" </dev/null 2>&1
}

for level in -O0 -O2; do
    compile -Wall -Wextra -Werror $level -ffp-contract=off
    printf 'printed C, arm-none-eabi-gcc %s, Cortex-M4F: ' $level
    emulate
done
# Fused, bits must differ, or nothing would have been compared.
compile -O2 -ffp-contract=fast
if emulate >/dev/null; then
    echo "printed C: multiplications and additions were fused, and no bit differed" >&2
    exit 1
fi
