# What the tests of the installation share; read by `.`. Set before: work, a folder
# of the test's own. Each test says its sentence when it holds, and ends it all
# when it does not.
# shellcheck shell=sh disable=SC2154,SC2034

root_of_tree=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
programs=${CHATCODE_TEST_PROGRAMS:-$root_of_tree/target/debug}

ok() { printf 'ok    %s\n' "$*"; }
skip() { printf 'skip  %s\n' "$*"; }
fail() {
    printf 'FAIL  %s\n' "$*" >&2
    for each in "$work"/*.log "$work/said" "$work/console"; do
        if [ -s "$each" ]; then printf -- '--- %s\n' "$each" >&2 && tail -n 25 "$each" >&2; fi
    done
    exit 1
}

# until_true SECONDS COMMAND...: waits for it, looking ten times a second.
until_true() {
    left=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.1
    done
}

# needs PROGRAM PACKAGE
needs() {
    command -v "$1" >/dev/null && return
    command -v apt-get >/dev/null || fail "$1 is missing (package $2)"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null
}

# serve NETWORK ADDRESS HOST: core and edge of a new installation in this network
# namespace (a path; empty: this one), the page at https://HOST:8443 with a
# certificate that nobody knows, releases from $work/release.
serve() {
    network=$1
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" \
        -days 2 -subj "/CN=$3" -addext "subjectAltName=DNS:$3" 2>/dev/null
    chmod 600 "$work/key.pem"
    exec_inside "$programs/chatcode-core" run --data-dir "$work/core" --listen 0.0.0.0:7421 --link 0.0.0.0:7422 \
        >"$work/core.ready" 2>"$work/core.log" &
    core_pid=$!
    until_true 20 test -s "$work/core.ready" || fail "the core does not start"
    token edge | inside "$programs/chatcode-edge" enroll --data-dir "$work/edge" --core 127.0.0.1:7421 2>>"$work/edge.log"
    exec_inside "$programs/chatcode-edge" run --data-dir "$work/edge" --listen "$2:8443" --origin "https://$3:8443" \
        --tls-cert "$work/cert.pem" --tls-key "$work/key.pem" --release-dir "$work/release" \
        >"$work/edge.ready" 2>>"$work/edge.log" &
    edge_pid=$!
    until_true 20 test -s "$work/edge.ready" || fail "the edge does not start"
    token admin | cli admin enroll --core 127.0.0.1:7421 2>/dev/null || fail "the command line is not enrolled"
    line=$(inside curl -sk --resolve "$3:8443:$2" "https://$3:8443/api/install" | sed -n 's/.*"line":"\([^"]*\)".*/\1/p')
    [ -n "$line" ] || fail "the edge has no line for new machines"
}

inside() { if [ -n "$network" ]; then nsenter --net="$network" "$@"; else "$@"; fi; }
# The same in the place of this shell; in the background its number is the program's.
exec_inside() { if [ -n "$network" ]; then exec nsenter --net="$network" "$@"; else exec "$@"; fi; }
token() { "$programs/chatcode-core" token --data-dir "$work/core" --kind "$1"; }
cli() { inside "$programs/chatcode" --data-dir "$work/cli" "$@"; }
# link_of MACHINE: how the core sees it.
link_of() { cli gateway ls --json | sed -n "s/.*\"name\":\"$1\",\"state\":\"\([a-z]*\)\".*/\1/p"; }
is_link() { [ "$(link_of "$1")" = "$2" ]; }

# end PID: a process of ours, and its end.
end() {
    kill "$1" 2>/dev/null || return 0
    wait "$1" 2>/dev/null || true
}
