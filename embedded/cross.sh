# To be sourced. `cross TARGET ARGUMENTS…` runs cargo for a bare-metal target.
#
# With the target installed (`rustup target add`), that is plain cargo. Without,
# Debian's compiler builds `core` from Debian's source of it, as there is
# nothing to download; what it takes to tell cargo so is the environment of that
# one command, and no build for the host ever sees it.
#
# CROSS=installed or CROSS=debian takes that one, whether or not the other is there;
# `cross_ways TARGET` tells which there are, the one that is taken first.
#
# Packages: rustc-web cargo-web rust-web-src

cross_ways() {
    if command -v rustup >/dev/null && rustup target list --installed | grep -qx "$1"; then
        echo installed
    fi
    if [[ -x $(cross_linker) && -x /usr/bin/cargo && -d /usr/lib/rustlib/src ]]; then
        echo debian
    fi
}

cross_linker() {
    find "$(rustc --print sysroot)" -name rust-lld -type f | head -n 1
}

cross() {
    local target=$1 way=${CROSS:-}
    shift
    [[ -n $way ]] || read -r way < <(cross_ways "$target") || true
    case $way in
    installed)
        env -u RUSTFLAGS cargo "$@" --target "$target"
        ;;
    debian)
        local linker=CARGO_TARGET_${target^^}_LINKER
        env -u RUSTFLAGS RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=core \
            "${linker//[-.]/_}=$(cross_linker)" /usr/bin/cargo "$@" --target "$target"
        ;;
    *)
        echo "to build for $target: rustup target add $target" >&2
        echo "or: apt-get install rustc-web cargo-web rust-web-src" >&2
        return 1
        ;;
    esac
}

# cross_compiler: what compiles, in the way that CROSS says.
cross_compiler() {
    case $CROSS in
    installed) echo "$(rustc --version), target installed by rustup" ;;
    debian) echo "$(/usr/bin/rustc --version), core from Debian's source" ;;
    esac
}
