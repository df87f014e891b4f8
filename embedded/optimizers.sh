#!/usr/bin/env bash
# Measures a step of every optimizer on a Cortex-M4F and prints the rows of README's table:
# instructions of a step of 64 parameters (counted, not cycles), flash (`.text`, `.rodata`
# and `.data` less those of a firmware that does nothing), the bytes of the optimizer, and
# the deepest stack, which holds the optimizer, parameters and gradients. A step of L-BFGS is
# one evaluation, the loss included.
#
#   bash embedded/optimizers.sh [OPTIMIZER…]
#
# Packages: those of measure.sh.
set -euo pipefail
cd "$(dirname "$0")"
source ./measure.sh

# row NAME NUMBER…: prints a row of the table, with commas between thousands.
row() {
    printf '| %s ' "$1"
    shift
    printf '| %d ' "$@" | sed -E ':again; s/([0-9])([0-9]{3})\b/\1,\2/; t again'
    echo '|'
}

# Without arguments: the optimizers that src/optim/mod.rs lists, SGD with and without momentum,
# and L-BFGS with and without its line search.
if (($# == 0)); then
    set -- SGD SGD-momentum \
        $(sed -n '/^optimizers! {/,/^}/s/.* = "\([A-Za-z]*\)" \[.*/\1/p' ../src/optim/mod.rs) \
        LBFGS LBFGS-strong_wolfe
fi

build budget
empty=$(flash budget)
echo '| | instructions | flash | optimizer | stack |'
echo '| --- | --- | --- | --- | --- |'
for optimizer; do
    OPTIMIZER=$optimizer build budget --features optimizer
    found=$(count budget) || {
        echo "$optimizer: does not run: $found" >&2
        exit 1
    }
    read -r instructions stack bytes <<<"${found//$'\n'/ }"
    row "${optimizer//-/, }" "$instructions" $(($(flash budget) - empty)) "$bytes" "$stack"
done
