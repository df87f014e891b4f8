#!/usr/bin/env bash
# Measures the flash of the same firmware for a Cortex-M4F, built with several profiles: bytes
# of `.text`, `.rodata` and `.data` less those of a firmware that can only print a panic, built
# with the same profile.
#
#   bash embedded/profiles.sh
#
# Packages: those of measure.sh.
set -euo pipefail
cd "$(dirname "$0")"
source ./measure.sh

# opt-level, lto, codegen-units. The first line is cargo's own release profile.
profiles=(
    "3 false 16"
    "s false 16"
    "s fat   16"
    "s fat   1"
)
jobs=(line network sine unwrap unwrap-floats)

# flash_of FEATURES: builds the firmware and prints its bytes of flash.
flash_of() {
    build profiles --features "$1" >&2
    flash profiles
}

printf '%-10s %-6s %-14s' opt-level lto codegen-units
printf ' %13s' "${jobs[@]}"
echo
for profile in "${profiles[@]}"; do
    read -r level lto units <<<"$profile"
    export CARGO_PROFILE_RELEASE_OPT_LEVEL=$level CARGO_PROFILE_RELEASE_LTO=$lto
    export CARGO_PROFILE_RELEASE_CODEGEN_UNITS=$units
    empty=$(flash_of '')
    printf '%-10s %-6s %-14s' "$level" "$lto" "$units"
    for job in "${jobs[@]}"; do
        bytes=$(flash_of "$job")
        printf ' %13d' $((bytes - empty))
    done
    echo
done
