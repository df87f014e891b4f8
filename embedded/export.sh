#!/usr/bin/env bash
# Functions that the crate prints as C, compiled for a Cortex-M4F by GCC and run on an emulated
# one: over a million readings of each model the bits must be those of the crate on the host.
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

# The test leaves the program there.
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
# Fused, bits must differ, or nothing would have been compared.
arm-none-eabi-gcc -std=c99 -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -O2 \
    -ffp-contract=fast -fno-math-errno -ffreestanding -nostdlib -T export/link.ld \
    -o "$folder/check.elf" "$folder/check.c" export/main.c -lgcc
if timeout 600 qemu-system-arm -M mps2-an386 -nographic \
    -semihosting-config enable=on,target=native -kernel "$folder/check.elf" </dev/null >/dev/null 2>&1; then
    echo "printed C: multiplications and additions were fused, and no bit differed" >&2
    exit 1
fi
