#!/usr/bin/env bash
# Measures the flash of the same firmware for a Cortex-M4F, built with several profiles: bytes
# of `.text`, `.rodata` and `.data` less those of a firmware that can only print a panic, built
# with the same profile.
#
#   bash embedded/profiles.sh
#
# Packages: binutils-arm-none-eabi, and those of cross.sh.
set -euo pipefail
cd "$(dirname "$0")"
source ./cross.sh

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
target=thumbv7em-none-eabihf
elf=$CARGO_TARGET_DIR/$target/release/profiles

# opt-level, lto, codegen-units. The first line is cargo's own release profile.
profiles=(
    "3 false 16"
    "s false 16"
    "s fat   16"
    "s fat   1"
)
jobs=(line network sine unwrap unwrap-floats)

# flash FEATURES: builds the firmware and prints its bytes of flash.
flash() {
    cross $target build --locked --quiet --release -p profiles --features "$1" >&2
    arm-none-eabi-size -A "$elf" | awk '/^\.(text|rodata|data) /{ n += $2 } END { print n }'
}

printf '%-10s %-6s %-14s' opt-level lto codegen-units
printf ' %13s' "${jobs[@]}"
echo
for profile in "${profiles[@]}"; do
    read -r level lto units <<<"$profile"
    export CARGO_PROFILE_RELEASE_OPT_LEVEL=$level CARGO_PROFILE_RELEASE_LTO=$lto
    export CARGO_PROFILE_RELEASE_CODEGEN_UNITS=$units
    empty=$(flash '')
    printf '%-10s %-6s %-14s' "$level" "$lto" "$units"
    for job in "${jobs[@]}"; do
        bytes=$(flash "$job")
        printf ' %13d' $((bytes - empty))
    done
    echo
done
