#!/bin/sh
# Whether released programs for Linux need nothing of the machine that they run on:
#   tests/deploy/static.sh FOLDER
# Each answers in a folder that holds it and nothing else; core and gateway do
# their work there. Programs of another processor are run by qemu-user. As root.
set -eu

work=$(mktemp -d "${TMPDIR:-/tmp}/chatcode-static.XXXXXX")
# shellcheck source=tests/deploy/lib.sh
. "$(dirname -- "$0")/lib.sh"
programs=$1
network='' core_pid='' gateway_pid='' emulator=''
root=$work/root chroot=$(command -v chroot)

leave() {
    status=$?
    trap - EXIT
    for each in "$gateway_pid" "$core_pid"; do [ -z "$each" ] || end "$each"; done
    umount "$root/proc" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap leave EXIT

# alone PROGRAM ARGUMENT...: in a root folder without anything else.
alone() { (exec_alone "$@"); }
# The same in the place of this shell; in the background its number is the program's.
exec_alone() {
    program=$1
    shift
    # shellcheck disable=SC2086 # none, or one word
    exec env -i "$chroot" "$root" $emulator "/bin/$program" "$@"
}

needs_nothing() {
    readelf --program-headers --dynamic --wide "$programs/$1" >"$work/elf"
    if grep -qE 'INTERP|NEEDED' "$work/elf"; then fail "$1 needs a loader or libraries: $(grep -oE 'INTERP|NEEDED.*' "$work/elf" | head -n 3)"; fi
    # The holder has nothing to say but who starts it.
    case $1 in chatcode-holder) words='started by chatcode-gateway' ;; *) words="^$1 [0-9]" ;; esac
    alone "$1" --version >"$work/said" 2>&1 || true
    grep -q "$words" "$work/said" || fail "$1 does not run by itself"
}

core_of() { sed -n 's/.*"grpc":"\([^"]*\)".*/\1/p' "$work/core.ready"; }
state_is() {
    alone chatcode-gateway status --data-dir /data/gateway >"$work/status" 2>&1 || true
    grep -q "\"link\":\"$1\"" "$work/status"
}

# The core is begun at its old port again by port 0.
start_core() {
    : >"$work/core.ready"
    exec_alone chatcode-core run --data-dir /data/core --listen 127.0.0.1:0 --link 127.0.0.1:0 >"$work/core.ready" 2>>"$work/core.log" &
    core_pid=$!
    until_true 60 test -s "$work/core.ready" || fail "the core does not start"
}

[ "$(id -u)" = 0 ] || { skip static "an empty root folder is made by root"; exit 0; }
mkdir -p "$root/bin" "$root/tmp"
mkdir -m 0700 "$root/data"
cp "$programs"/chatcode "$programs"/chatcode-core "$programs"/chatcode-edge "$programs"/chatcode-gateway \
    "$programs"/chatcode-holder "$programs"/chatcode-spawner "$root/bin/"
machine=$(readelf --file-header --wide "$root/bin/chatcode" | sed -n 's/.*Machine: *//p')
case $machine:$(uname -m) in
    *X86-64*:x86_64 | AArch64:aarch64) ;;
    AArch64:*)
        needs qemu-aarch64-static qemu-user-static
        cp "$(command -v qemu-aarch64-static)" "$root/emulator"
        emulator=/emulator
        ;;
    *) fail "no emulator is known for $machine" ;;
esac

for each in chatcode chatcode-core chatcode-edge chatcode-gateway chatcode-holder chatcode-spawner; do needs_nothing "$each"; done
ok "each program is static, is for $machine, and answers in an empty root folder"

# The kernel's own folder: by it the daemon finds the holder beside itself.
mkdir "$root/proc"
mount -t proc proc "$root/proc"
start_core
alone chatcode-core token --data-dir /data/core --kind gateway |
    alone chatcode-gateway enroll --data-dir /data/gateway --core "$(core_of)" --name alone >"$work/said" 2>&1 ||
    fail "a gateway cannot be enrolled"
exec_alone chatcode-gateway run --data-dir /data/gateway --runtime-dir /data/run --holders detached >"$work/gateway.ready" 2>"$work/gateway.log" &
gateway_pid=$!
until_true 60 state_is online || fail "the gateway does not come online: $(cat "$work/status")"
ok "a gateway is enrolled and online there"
end "$core_pid"
core_pid=''
until_true 60 state_is connecting || fail "the gateway does not tell that the core is gone: $(cat "$work/status")"
grep -q '"reason":"[^"]' "$work/status" || fail "it does not tell why: $(cat "$work/status")"
ok "without its core it says so: $(sed -n 's/.*"reason":"\([^"]*\)".*/\1/p' "$work/status")"
start_core
until_true 90 state_is online || fail "the gateway does not come back: $(cat "$work/status")"
ok "it is online again when the core is"
