#!/usr/bin/env bash
# Lists the places that can panic, for when the proof in no-panic/ has failed.
#
#   bash embedded/panics.sh ELF
#
# ELF is the output of `cargo build --release -p no-panic --features link-anyway`.
set -euo pipefail

elf=$1
# Prints every call of a panicking function of `core`, and the source lines it was inlined from.
arm-none-eabi-objdump -d --no-show-raw-insn -C "$elf" |
    grep -E '^ +[0-9a-f]+:.*<core::(panicking|slice::index|slice::copy|option|result|cell|str)::.*(fail|panic)' |
    grep -E '\b(bl?|bx?|b[a-z]{2}(\.[nw])?)\b' |
    sed -E 's/^ +([0-9a-f]+):.*<(core::[^>]*)>?.*/\1 \2/' |
    while read -r address what; do
        echo "$what"
        arm-none-eabi-addr2line -e "$elf" -i -f -C "0x$address" | paste - - |
            awk -F'\t' '{ printf "    %s  %s\n", $2, $1 }'
    done
