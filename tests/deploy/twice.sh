#!/bin/sh
# Whether the same commit gives the same programs, byte by byte, in another folder
# with another folder of cargo's, and the same parts lists:
#   tests/deploy/twice.sh [--target TRIPLE] [PROGRAM...]
# All programs unless some are named. CARGO_PROFILE_DIST_OPT_LEVEL=0 makes it quicker.
set -eu

work=$(mktemp -d "${TMPDIR:-/tmp}/chatcode-twice.XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/deploy/lib.sh
. "$(dirname -- "$0")/lib.sh"
cargo_home=${CARGO_HOME:-$HOME/.cargo}
target=x86_64-unknown-linux-musl
if [ "${1:-}" = --target ]; then target=$2 && shift 2; fi
[ $# -gt 0 ] || set -- chatcode-holder chatcode chatcode-core chatcode-edge chatcode-gateway chatcode-spawner

# build FOLDER CARGO_HOME PROGRAM...
build() {
    folder=$1 home=$2
    shift 2
    git clone --quiet "$root_of_tree" "$folder"
    ln -s "$root_of_tree/.tools" "$folder/.tools"
    mkdir -p "$folder/edge/web"
    if [ -d "$root_of_tree/edge/web/dist" ]; then cp -R "$root_of_tree/edge/web/dist" "$folder/edge/web/"; fi
    (
        cd "$folder"
        export CARGO_HOME="$home" SOURCE_DATE_EPOCH=1700000000
        unset CARGO_TARGET_DIR
        deploy/release/make --target "$target" --build-only "$*" &&
            deploy/release/make --target "$target" --parts-only --out parts
    ) >"$work/said" 2>&1 || fail "it cannot be built in $folder"
}

# Cargo's other folder holds what is downloaded already.
mkdir "$work/cargo"
[ ! -d "$cargo_home/registry" ] || cp -R "$cargo_home/registry" "$work/cargo/"
build "$work/one" "$cargo_home" "$@"
build "$work/another/folder" "$work/cargo" "$@"
for each in "$@"; do
    cmp "$work/one/target/$target/dist/$each" "$work/another/folder/target/$target/dist/$each" || fail "$each differs"
    ok "$each is the same of two folders: $(sha256sum <"$work/one/target/$target/dist/$each" | cut -c1-16)"
done
diff -r "$work/one/parts" "$work/another/folder/parts" >"$work/said" || fail "the parts lists differ"
ok "the parts lists are the same"
