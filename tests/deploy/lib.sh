# What the tests of the installation share; read by `.`. Set before: work, a folder
# of the test's own. Each test says its sentence when it holds, and ends it all
# when it does not.
# shellcheck shell=sh disable=SC2154,SC2034,SC2086

root_of_tree=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
programs=${CHATCODE_TEST_PROGRAMS:-$root_of_tree/target/debug}

ok() { printf 'ok    %s\n' "$*"; }
# skip NAME WHY: what cannot be tested here. In CI nothing may be but what this list
# names, which .ci/run leaves empty: CHATCODE_MAY_SKIP='NAME ...'.
skip() {
    what=$1
    shift
    printf 'skip  %s: %s\n' "$what" "$*"
    [ -n "${CI:-}" ] || return 0
    case " ${CHATCODE_MAY_SKIP:-} " in *" $what "*) ;; *) fail "$what was skipped, and in CI nothing may be" ;; esac
}
fail() {
    printf 'FAIL  %s\n' "$*" >&2
    for each in "$work"/*.log "$work/said" "$work/console"; do
        if [ -s "$each" ]; then printf -- '--- %s\n' "$each" >&2 && tail -n 60 "$each" >&2; fi
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

# had PROGRAM PACKAGE: whether it is here, or root could install it.
had() {
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    needs "$1" "$2"
}

# within MILLISECONDS MOST WHAT: it took no longer; three times as long is allowed
# unless bounds are wanted as they are promised (CHATCODE_BOUNDS=exact, `just bounds`),
# as other work may have a share in the machine, and programs of tests are not optimised.
within() {
    most=$2
    if [ "${CHATCODE_BOUNDS:-}" != exact ]; then most=$((most * 3)); fi
    printf 'took  %s: %s ms (promised: %s)\n' "$3" "$1" "$2"
    [ "$1" -le "$most" ] || fail "$3 took $1 ms, and at most $most are allowed"
}

# make_release: version 0.1.0 in $work/release, its key in $work/release.key; the
# one in $CHATCODE_TEST_RELEASE, if somebody made it.
make_release() {
    if [ -z "${CHATCODE_TEST_RELEASE:-}" ]; then
        "$root_of_tree/tests/deploy/release.sh" "$work/release" 0.1.0
    else
        cp -R "$CHATCODE_TEST_RELEASE" "$work/release"
        cp -R "$CHATCODE_TEST_RELEASE.key" "$work/release.key"
    fi
}

# install_into HOME ARGUMENT...: by $script, as a user without a systemd of its own.
# With the programs of $path, by $shell, with the variables of $with.
install_into() {
    home=$1
    shift
    mkdir -p "$home"
    status=0
    env -i HOME="$home" PATH="${path:-$PATH}" ${with:-} ${shell:-sh} "$script" --mode user "$@" >"$work/said" 2>&1 </dev/null || status=$?
}

# refused CODE WORDS HOME: the last one was, for this reason, and left nothing.
refused() {
    [ "$status" = "$1" ] || fail "it ended with $status, not $1: $2"
    grep -q "$2" "$work/said" || fail "it does not say: $2"
    [ -z "$(find "$3" -mindepth 1 2>/dev/null)" ] || { find "$3" >"$work/said"; fail "it left something: $2"; }
}

# a_token_of_nobody FILE: one that no core made.
a_token_of_nobody() {
    printf 'chatcode1.%s.%s.%s\n' AAAAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA \
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA >"$1"
}

# tools FOLDER PROGRAM...: what the installation needs, and these, as the only programs.
tools() {
    made_tools=$1
    shift
    mkdir "$made_tools"
    for each in sh sed awk cat tr cut wc dirname basename mktemp mkdir rm rmdir mv cp ln readlink chmod tar gzip df uname id cmp \
        sha256sum base64 head tail grep sleep env kill stty sort timeout "$@"; do
        real=$(command -v "$each")
        # Some are of the shell, too.
        case $real in /*) ;; *) real=/usr/bin/$each ;; esac
        ln -s "$real" "$made_tools/$each"
    done
}

# start_core ARGUMENT...: in the network of the test; its address goes to $core.
start_core() {
    : >"$work/core.ready"
    # Certificates of a minute are a test's.
    CHATCODE_CORE_SHORT_LIVES=true exec_inside "$programs/chatcode-core" run --data-dir "$work/core" "$@" >"$work/core.ready" 2>>"$work/core.log" &
    core_pid=$!
    until_true 20 test -s "$work/core.ready" || fail "the core does not start"
    core=$(sed -n 's/.*"grpc":"\([^"]*\)".*/\1/p' "$work/core.ready")
    core=127.0.0.1:${core##*:}
}

# start_edge ADDRESS HOST PORT: with a certificate that nobody knows, and the
# releases of $work/release.
start_edge() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" \
        -days 2 -subj "/CN=$2" -addext "subjectAltName=DNS:$2" 2>/dev/null
    chmod 600 "$work/key.pem"
    token edge | inside "$programs/chatcode-edge" enroll --data-dir "$work/edge" --core "$core" 2>>"$work/edge.log"
    exec_inside "$programs/chatcode-edge" run --data-dir "$work/edge" --listen "$1:$3" --origin "https://$2:$3" \
        --tls-cert "$work/cert.pem" --tls-key "$work/key.pem" --release-dir "$work/release" \
        >"$work/edge.ready" 2>>"$work/edge.log" &
    edge_pid=$!
    until_true 20 test -s "$work/edge.ready" || fail "the edge does not start"
}

# serve NETWORK ADDRESS HOST: core and edge of a new installation in this network
# namespace (a path), the page at https://HOST:8443.
serve() {
    network=$1
    start_core $fixed_ports --gateway-certificate 60s
    start_edge "$2" "$3" 8443
    token admin | cli admin enroll --core "$core" 2>/dev/null || fail "the command line is not enrolled"
    line=$(inside curl -sk --resolve "$3:8443:$2" "https://$3:8443/api/install" | sed -n 's/.*"line":"\([^"]*\)".*/\1/p')
    [ -n "$line" ] || fail "the edge has no line for new machines"
}
fixed_ports='--listen 0.0.0.0:7421 --link 0.0.0.0:7422'

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
