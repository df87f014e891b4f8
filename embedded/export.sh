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
for level in -O0 -O2; do
    # -ffreestanding: no C library; libgcc converts 64-bit integers.
    arm-none-eabi-gcc -std=c99 -Wall -Wextra -Werror -mcpu=cortex-m4 -mthumb -mfloat-abi=hard \
        -mfpu=fpv4-sp-d16 $level -ffp-contract=off -fno-math-errno -ffreestanding -nostdlib \
        -T export/link.ld -o "$folder/check.elf" "$folder/check.c" export/main.c -lgcc
    printf 'printed C, arm-none-eabi-gcc %s, Cortex-M4F: ' $level
    timeout 600 qemu-system-arm -M mps2-an386 -nographic \
        -semihosting-config enable=on,target=native -kernel "$folder/check.elf" </dev/null 2>&1
done
# With fused multiplications and additions the bits must differ: a check that passes here, too,
# compares nothing.
arm-none-eabi-gcc -std=c99 -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -O2 \
    -ffp-contract=fast -fno-math-errno -ffreestanding -nostdlib -T export/link.ld \
    -o "$folder/check.elf" "$folder/check.c" export/main.c -lgcc
if timeout 600 qemu-system-arm -M mps2-an386 -nographic \
    -semihosting-config enable=on,target=native -kernel "$folder/check.elf" </dev/null >/dev/null 2>&1; then
    echo "printed C: multiplications and additions were fused, and no bit differed" >&2
    exit 1
fi
