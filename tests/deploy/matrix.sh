#!/bin/sh
# shellcheck disable=SC2015,SC2016,SC2086 # words for other shells, several words, and checks in a row
# The installation where something is missing or hostile, without booting: a shell
# and tools of busybox, no systemd, folders that cannot be written, a full disk, no
# network, a release that was cut, changed or is another's.
set -eu

work=$(mktemp -d "${TMPDIR:-/tmp}/cm.XXXXXX")
# shellcheck source=tests/deploy/lib.sh
. "$(dirname -- "$0")/lib.sh"
network='' core_pid='' web_pid='' daemon=''

leave() {
    status=$?
    trap - EXIT
    for each in "$core_pid" "$web_pid" $daemon; do kill "$each" 2>/dev/null || true; done
    umount "$work/small" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}

# changed WHAT COMMAND: a copy of the release that somebody changed.
changed() {
    rm -rf "$work/changed"
    cp -R "$work/release" "$work/changed"
    (cd "$work/changed" && eval "$2")
    install_into "$work/home" --from "$work/changed" --core 127.0.0.1:1 --token-file "$work/token"
    refused "$3" "$1" "$work/home"
}

hostile_releases_are_refused() {
    archive=$(basename "$work"/release/chatcode-*-gateway-*)
    changed 'not signed by the key' 'sed -i s/^oldest.*/oldest\ 0.0.1/ manifest' 77
    changed 'not signed by the key' 'head -c 64 /dev/urandom >manifest.sig' 77
    changed 'not signed by the key' ': >manifest.sig' 77
    changed 'cut or changed' "truncate -s -1 $archive" 77
    changed 'cut or changed' "printf x | dd of=$archive bs=1 seek=1000 conv=notrunc 2>/dev/null" 77
    changed 'cut or changed' 'truncate -s -1 cleanup.sh' 77
    changed 'larger than' "printf x >>$archive" 1
    changed 'larger than' 'head -c 70000 /dev/zero | tr "\0" x >manifest' 1
    changed 'cannot be read' "echo surprise 1 >>manifest; $root_of_tree/tests/deploy/sign.sh . $work/release.key" 1
    changed 'has no gateway' "sed -i '/ gateway /d' manifest; $root_of_tree/tests/deploy/sign.sh . $work/release.key" 1
    mkdir "$work/other.key"
    (umask 077 && openssl genpkey -algorithm ed25519 -out "$work/other.key/key.pem" 2>/dev/null)
    changed 'not signed by the key' "$root_of_tree/tests/deploy/sign.sh . $work/other.key" 77
    ok "a release that was cut, changed or signed by another is refused, and nothing is left"
}

# Without OpenSSL 3 the same key is checked by OpenSSH.
openssh_checks_as_well() {
    tools "$work/tools" ssh-keygen
    path=$work/tools
    changed 'not signed by the key' 'sed -i s/^oldest.*/oldest\ 0.0.1/ manifest' 77
    install_into "$work/home" --from "$work/release" --core 127.0.0.1:1 --token-file "$work/token"
    # The signature holds, so it comes as far as the core that is not there.
    refused 69 'was not enrolled' "$work/home"
    rm "$work/tools/ssh-keygen"
    install_into "$work/home" --from "$work/release" --core 127.0.0.1:1 --token-file "$work/token"
    refused 78 'install OpenSSL 3 or OpenSSH' "$work/home"
    path=
    ok "OpenSSH checks the signature where OpenSSL does not, and without both it is refused with the package"
}

a_web_server_may_not_lie() {
    mkdir "$work/web"
    cp -R "$work/release" "$work/web/good"
    mkdir "$work/web/page"
    echo '<html>sign in</html>' | tee "$work/web/page/manifest" "$work/web/page/manifest.sig" >/dev/null
    node -e '
        const { createServer } = require("node:http"), { readFile } = require("node:fs");
        const server = createServer((request, answer) => {
            if (request.url.startsWith("/moved/")) return answer.writeHead(302, { location: request.url.replace("/moved/", "/good/") }).end();
            readFile(process.argv[1] + request.url, (error, bytes) => error ? answer.writeHead(404).end() : answer.end(bytes));
        });
        server.listen(0, "127.0.0.1", () => console.log(server.address().port));
    ' "$work/web" >"$work/port" &
    web_pid=$!
    until_true 10 test -s "$work/port" || fail "no web server"
    web=http://127.0.0.1:$(cat "$work/port")
    install_into "$work/home" --from "$web/page" --core 127.0.0.1:1 --token-file "$work/token"
    refused 77 'not signed by the key' "$work/home"
    install_into "$work/home" --from "$web/moved" --core 127.0.0.1:1 --token-file "$work/token"
    refused 69 'answers with HTTP 302' "$work/home"
    install_into "$work/home" --from "$web/missing" --core 127.0.0.1:1 --token-file "$work/token"
    refused 69 'could not be downloaded' "$work/home"
    install_into "$work/home" --from http://127.0.0.1:1/release --core 127.0.0.1:1 --token-file "$work/token"
    refused 69 'could not be downloaded' "$work/home"
    install_into "$work/home" --from http://code.example.org/release --core 127.0.0.1:1 --token-file "$work/token"
    refused 78 'is not HTTPS' "$work/home"
    ok "a sign-in page, a redirect, a missing file, no network and plain HTTP are refused"
}

places_that_cannot_be_used_are_named() {
    if [ "$(id -u)" != 0 ]; then
        skip places "folders that cannot be written, and a full disk, are mounted by root"
        return
    fi
    mkdir "$work/small"
    mount -t tmpfs -o size=2m tmpfs "$work/small"
    install_into "$work/small" --from "$work/release" --core 127.0.0.1:1 --token-file "$work/token"
    refused 1 'MiB are needed' "$work/small"
    mount -o remount,ro "$work/small"
    install_into "$work/small" --from "$work/release" --core 127.0.0.1:1 --token-file "$work/token"
    refused 1 'cannot be written to' "$work/small"
    umount "$work/small"
    ok "a full disk and folders that cannot be written are said before anything is done"
}

a_dry_run_changes_nothing() {
    install_into "$work/home" --from "$work/release" --core 127.0.0.1:1 --dry-run
    [ "$status" = 0 ] && grep -q 'enrolling at 127.0.0.1:1' "$work/said" || fail "the dry run does not tell the steps"
    refused 0 'check its signature' "$work/home"
    install_into "$work/home" --from "$work/release" --core 127.0.0.1:1
    refused 2 'no terminal to ask' "$work/home"
    ok "a dry run tells the steps and changes nothing"
}

# Detached: no init at all, tools and shell of busybox.
busybox_without_an_init_is_enough() {
    if ! had busybox busybox; then
        skip busybox "it is not here"
        return
    fi
    mkdir "$work/busybox"
    busybox --install -s "$work/busybox"
    ln -s "$(command -v openssl)" "$work/busybox/openssl"
    start_core --listen 127.0.0.1:0 --link 127.0.0.1:0
    token gateway >"$work/token"
    path=$work/busybox shell="$work/busybox/sh"
    install_into "$work/bb" --from "$web/good" --core "$core" --token-file "$work/token"
    [ "$status" = 0 ] && grep -q '^online:' "$work/said" || fail "busybox does not install ($status)"
    gateway=$work/bb/.local/bin/chatcode-gateway
    daemon=$(env -i HOME="$work/bb" "$gateway" status | sed -n 's/.*"pid":\([0-9]*\).*/\1/p')
    install_into "$work/bb" --from "$web/good" --core "$core"
    [ "$status" = 0 ] && grep -q 'its identity stays' "$work/said" || fail "it does not run again ($status)"
    echo kept >"$work/bb/mine"
    env -i HOME="$work/bb" PATH="$work/busybox" "$gateway" uninstall --mode user --yes >"$work/said" 2>&1 || fail "no removal by busybox"
    find "$work/bb" -name '*chatcode*' >"$work/said"
    [ ! -s "$work/said" ] && [ -e "$work/bb/mine" ] || fail "something of ours is left"
    kill -0 "$daemon" 2>/dev/null && fail "the daemon runs on"
    daemon='' path='' shell=
    ok "busybox without an init installs, runs again and removes"
}

running() { env -i HOME="$home" "$home/.local/bin/chatcode-gateway" status --wait "${1:-0}" | sed -n 's/.*"running":true.*"pid":\([0-9]*\).*/\1/p'; }

# A socket's path has 107 bytes at most, and a home may take many of them.
a_long_home_gets_short_sockets() {
    install_into "$work/firstname.lastname.of.a.long.house" --from "$work/release" --core "$core" --token-file "$work/token"
    refused 78 'no room for the names of sockets' "$home"
    token gateway >"$work/token"
    install_into "$work/firstname.lastname" --from "$work/release" --core "$core" --token-file "$work/token"
    [ "$status" = 0 ] && grep -q '^online:' "$work/said" || fail "no install into a long home ($status)"
    grep -qx "runtime_dir = \"$home/.chatcode\"" "$home/.config/chatcode/gateway.toml" || fail "its sockets are elsewhere"
    daemon=$(running)
    ok "a home with a long path gets short sockets, and one that is too long is told so"
}

a_version_that_does_not_run_leaves_the_one_before() {
    mkdir "$work/broken"
    for each in chatcode chatcode-core chatcode-edge chatcode-gateway chatcode-holder chatcode-spawner; do
        printf '#!/bin/sh\n[ "$1" = --version ] || { echo is broken >&2; exit 3; }\n' >"$work/broken/$each"
        chmod +x "$work/broken/$each"
    done
    CHATCODE_TEST_PROGRAMS=$work/broken "$root_of_tree/tests/deploy/release.sh" "$work/newer" 0.1.1 "$work/release.key" >/dev/null
    install_into "$work/firstname.lastname" --from "$work/newer" --core "$core"
    [ "$status" = 1 ] && grep -q 'the gateway does not run' "$work/said" && grep -q 'is broken' "$work/said" || fail "it is not told that the version does not run ($status)"
    [ "$(readlink "$home/.local/lib/chatcode/current")" = 0.1.0 ] || fail "a version that does not run is current"
    [ "$(running 20)" != "$daemon" ] || fail "the daemon before was never stopped"
    daemon=$(running)
    [ -n "$daemon" ] || fail "the version before does not run again"
    env -i HOME="$home" PATH="$PATH" "$home/.local/bin/chatcode-gateway" uninstall --mode user --yes >"$work/said" 2>&1 || fail "no removal"
    daemon=
    find "$home" -name '*chatcode*' >"$work/said"
    [ ! -s "$work/said" ] || fail "something of ours is left"
    ok "where a new version does not run, the one before does again"
}

a_gateway_by_other_means_is_left_alone() {
    mkdir -p "$work/by-hand/.local/share/chatcode/gateway/identity"
    touch "$work/by-hand/.local/share/chatcode/gateway/identity/identity.pem"
    install_into "$work/by-hand" --from "$work/release" --core "$core"
    [ "$status" = 75 ] && grep -q 'is a gateway already' "$work/said" || fail "a gateway of other means is taken over ($status)"
    [ "$(find "$work/by-hand" -type f | wc -l)" = 1 ] || fail "it left something"
    ok "a machine that is a gateway by other means is left alone, and it is said why"
}

needs openssl openssl
trap leave EXIT
trap 'exit 130' INT TERM
make_release
script=$work/release/install.sh
a_token_of_nobody "$work/token"
hostile_releases_are_refused
openssh_checks_as_well
a_web_server_may_not_lie
places_that_cannot_be_used_are_named
a_dry_run_changes_nothing
busybox_without_an_init_is_enough
a_long_home_gets_short_sockets
a_version_that_does_not_run_leaves_the_one_before
a_gateway_by_other_means_is_left_alone
