#!/bin/sh
# The images of core and edge with programs that are built already:
#   tests/deploy/image.sh FOLDER
# The last stages of the Dockerfile as they stand, on the programs of FOLDER in the
# place of the stages before (whose bases come from the network), made by buildah;
# then core and edge as compose starts them, in a network of their own. As root.
set -eu

if [ -z "${CHATCODE_IMAGE_NETWORK:-}" ] && [ "$(id -u)" = 0 ]; then
    CHATCODE_IMAGE_NETWORK=own exec unshare --net "$0" "$@"
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/chatcode-image.XXXXXX")
# shellcheck source=tests/deploy/lib.sh
. "$(dirname -- "$0")/lib.sh"
programs=$1
network='' core_pid='' edge_pid=''

leave() {
    status=$?
    trap - EXIT
    for each in "$edge_pid" "$core_pid"; do [ -z "$each" ] || end "$each"; done
    if [ -n "${containers:-}" ]; then ours rm --all >/dev/null 2>&1 || true; fi
    rm -rf "$work"
    exit "$status"
}
trap leave EXIT

# buildah with a store of this test's own.
ours() {
    buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"
}

# make PART: the image, and a container of it.
make() {
    ours build --isolation chroot --file "$work/Dockerfile" --target "$1" --tag "chatcode-$1" "$work/context" >"$work/$1.build.log" 2>&1 ||
        fail "the image of the $1 cannot be made"
    ours from --name "$1" "chatcode-$1" >/dev/null 2>>"$work/$1.build.log" || fail "no container comes of the image of the $1"
    containers=$1
}

# tells PART WHAT: of its image's settings, as words.
tells() { ours inspect --type image --format "{{range .OCIv1.Config.$2}}{{.}} {{end}}" "chatcode-$1"; }

# inside_of PART ARGUMENT...: the image's program, as the image's user, with all else as the image has it.
inside_of() {
    part=$1
    shift
    # shellcheck disable=SC2046 # several words
    exec buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs \
        run --isolation chroot "$part" -- $(tells "$part" Entrypoint) "$@"
}

[ "$(id -u)" = 0 ] || { skip image "they are made by root"; exit 0; }
needs buildah buildah
for each in chatcode-core chatcode-edge; do
    if readelf --program-headers --wide "$programs/$each" | grep -q INTERP; then fail "$each is not static"; fi
done
ip link set lo up
mkdir -p "$work/context/out/root"
mkdir -m 0700 "$work/context/out/root/data"
cp "$programs/chatcode-core" "$programs/chatcode-edge" "$work/context/out/"
{
    printf 'FROM scratch AS build\nCOPY out /out\n'
    sed -n '/^FROM scratch AS core/,$p' "$root_of_tree/deploy/docker/Dockerfile"
} >"$work/Dockerfile"

make core
make edge
for each in core edge; do
    files=$(find "$(ours mount "$each")" -type f | sed 's|.*/||')
    [ "$files" = "chatcode-$each" ] || fail "the image of the $each holds more than its program: $files"
    [ "$(stat -c '%u %a' "$(ours mount "$each")/data")" = '65532 700' ] || fail "/data of the $each is not its user's"
    [ "$(stat -c %u "$(ours mount "$each")/usr/local/bin/chatcode-$each")" = 0 ] || fail "the $each could change its own program"
    [ "$(ours inspect --type image --format '{{.OCIv1.Config.User}}' "chatcode-$each")" = 65532:65532 ] || fail "the $each runs as somebody else"
done
ok "each image holds its program and the folder of its data, and runs as nobody's user"

# shellcheck disable=SC2046 # several words
inside_of core $(tells core Cmd) >"$work/core.ready" 2>"$work/core.log" &
core_pid=$!
until_true 60 test -s "$work/core.ready" || fail "the core does not start"
(inside_of core token --data-dir /data --kind edge) 2>>"$work/core.log" >"$work/token" || fail "the core makes no token"
(inside_of edge enroll --data-dir /data --core 127.0.0.1:7421) <"$work/token" >"$work/edge.log" 2>&1 || fail "the edge is not enrolled"
inside_of edge run --data-dir /data --listen 127.0.0.1:8443 --origin http://localhost:8443 >"$work/edge.ready" 2>>"$work/edge.log" &
edge_pid=$!
until_true 60 test -s "$work/edge.ready" || fail "the edge does not start"
curl -fsS -o "$work/page" -H 'Host: localhost:8443' http://127.0.0.1:8443/ 2>>"$work/edge.log" || fail "the edge does not serve the page"
grep -qi '<!doctype html>' "$work/page" || fail "what the edge serves is no page"
ok "core and edge start from their images, the edge is enrolled and serves the page"
