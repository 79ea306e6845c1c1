#!/bin/sh
# shellcheck disable=SC2015,SC2016,SC2086 # words for other shells, several words, and checks in a row
# The ways a release comes onto a machine: by curl, by wget or by none, over HTTPS by
# the edge's own TLS, by proxies that work, refuse and hang, which lead the gateway to
# its core, too; and the shells that the script is run by.
set -eu

work=$(mktemp -d "${TMPDIR:-/tmp}/cw.XXXXXX")
# shellcheck source=tests/deploy/lib.sh
. "$(dirname -- "$0")/lib.sh"
network='' core_pid='' edge_pid='' web_pid='' proxies='' daemon=''

leave() {
    status=$?
    trap - EXIT
    for each in $proxies "$web_pid" "$edge_pid" "$core_pid" $daemon; do kill "$each" 2>/dev/null || true; done
    rm -rf "$work"
    exit "$status"
}

# from SOURCE ARGUMENT...: an install whose core is not there.
from() {
    place=$1
    shift
    install_into "$work/home" --from "$place" --core 127.0.0.1:1 --token-file "$work/token" "$@"
}
# comes WHAT: the last one did come as far as that core, so the release was taken.
comes() { refused 69 'was not enrolled' "$work/home"; }

serve_the_release() {
    start_core --listen 127.0.0.1:0 --link 127.0.0.1:0
    port=$(node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
    start_edge 127.0.0.1 localhost "$port"
    https=https://localhost:$port/release
    pin=sha256//$(openssl x509 -in "$work/cert.pem" -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64)
    node -e '
        const { createServer } = require("node:http"), { readFile } = require("node:fs");
        createServer((request, answer) => {
            if (request.url.startsWith("/moved/")) return answer.writeHead(302, { location: request.url.replace("/moved/", "/release/") }).end();
            readFile(process.argv[1] + request.url, (error, bytes) => error ? answer.writeHead(404).end() : answer.end(bytes));
        }).listen(0, "127.0.0.1", function () { console.log(this.address().port); });
    ' "$work" >"$work/port" &
    web_pid=$!
    until_true 10 test -s "$work/port" || fail "no web server"
    http=http://127.0.0.1:$(cat "$work/port")
    # For wget this is a root of the machine.
    echo "ca_certificate = $work/cert.pem" >"$work/wgetrc"
}

curl_checks_the_pin() {
    from "$https" --pin "$pin"
    comes
    from "$https" --pin "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    refused 69 'public key does not match' "$work/home"
    from "$https"
    refused 69 'certificate' "$work/home"
    ok "curl takes a release from the edge's own TLS by its pin, and by no other and none not"
}

wget_does_what_it_can_check() {
    tools "$work/wget" openssl wget
    path=$work/wget
    from "$http/release"
    comes
    from "$http/moved"
    refused 69 'could not be downloaded' "$work/home"
    from "$https" --pin "$pin"
    refused 78 'which only curl can check; install it with' "$work/home"
    from "$https"
    refused 69 'wget: .*certificate' "$work/home"
    with="WGETRC=$work/wgetrc"
    from "$https"
    comes
    token gateway >"$work/real"
    install_into "$work/there" --from "$https" --core "$core" --token-file "$work/real"
    [ "$status" = 0 ] && grep -q '^online:' "$work/said" || fail "no install by wget ($status)"
    daemon=$(env -i HOME="$work/there" "$work/there/.local/bin/chatcode-gateway" status | sed -n 's/.*"pid":\([0-9]*\).*/\1/p')
    env -i HOME="$work/there" PATH="$path" "$work/there/.local/bin/chatcode-gateway" uninstall --mode user --yes >"$work/said" 2>&1 || fail "no removal"
    daemon=
    with='' path=
    ok "GNU wget alone installs where the machine knows the certificate; a pin it refuses, and says what to do"
}

without_curl_the_reason_is_told() {
    tools "$work/none" openssl
    path=$work/none
    from "$http/release"
    refused 78 'neither curl nor wget is here; install it with' "$work/home"
    path=
    if ! command -v busybox >/dev/null; then
        skip busybox "its wget is not here"
        return
    fi
    ln -s "$(command -v busybox)" "$work/none/wget"
    path=$work/none
    from "$http/release"
    comes
    from "$https"
    refused 78 "may take any server's certificate" "$work/home"
    path=
    ok "without curl and wget, and over HTTPS with busybox alone, it is refused with the reason and the command"
}

# proxy ARGUMENT...: starts one; its port goes to $proxy, what it says to $asked.
proxy() {
    asked=$work/asked.$(printf '%s\n' $proxies | wc -l)
    : >"$asked"
    node "$root_of_tree/tests/deploy/proxy.mjs" 127.0.0.1 "$@" >"$asked" &
    proxies="$proxies $!"
    until_true 10 test -s "$asked" || fail "the proxy does not start"
    proxy=127.0.0.1:$(head -n 1 "$asked")
}
was_asked() { grep -q "^$1" "$asked" || fail "the proxy was not asked: $1"; }
was_not_asked() { [ "$(wc -l <"$asked")" = 1 ] || fail "the proxy was asked"; }

proxies_are_used_and_left_out() {
    proxy works
    with="NO_PROXY=localhost,.example.org"
    from "$https" --pin "$pin" --proxy "http://$proxy"
    comes
    with="no_proxy=* https_proxy=http://$proxy"
    from "$https" --pin "$pin"
    comes
    was_not_asked
    with="NO_PROXY=example.org,host"
    from "$https" --pin "$pin" --proxy "http://$proxy"
    comes
    was_asked "CONNECT localhost:$port"
    with="http_proxy=http://$proxy"
    from "$http/release"
    comes
    was_asked "GET $http/release/manifest"
    for each in "$work/wget" "$work/none"; do
        [ -e "$each/wget" ] || continue
        proxy works
        path=$each with="http_proxy=http://$proxy NO_PROXY=127.0.0.1"
        from "$http/release"
        comes
        was_not_asked
        with="http_proxy=http://$proxy"
        from "$http/release"
        comes
        was_asked "GET $http/release/manifest"
    done
    proxy works
    path=$work/wget with="WGETRC=$work/wgetrc HTTPS_PROXY=http://$proxy"
    from "$https"
    comes
    was_asked "CONNECT localhost:$port"
    path='' with=''
    ok "downloads go by the proxy of the option or the environment, and past it where NO_PROXY says so, with curl and both wgets"
}

a_proxy_s_password_is_in_no_argument() {
    proxy works ada:hush77 core.test=127.0.0.1
    from "$https" --pin "$pin" --proxy "http://ada:hush77@$proxy"
    refused 2 'say --proxy-file FILE' "$work/home"
    was_not_asked
    grep -q hush77 "$work/said" && fail "the password is told"
    echo "http://ada:hush77@$proxy" >"$work/proxy"
    # Every program notes its arguments and, but for the one that downloads, its environment.
    tools "$work/watched" openssl curl printf
    for each in "$work/watched"/*; do
        real=$(readlink "$each")
        rm "$each"
        note=$(command -v env)
        case $each in */curl) note=: ;; esac
        printf '#!/bin/sh\n{ echo "%s $*"; %s; } >>%s\nexec %s "$@"\n' "${each##*/}" "$note" "$work/seen" "$real" >"$each"
        chmod +x "$each"
    done
    # Variables of the caller's by the script's own names.
    path=$work/watched with='proxy=none via=none token=none'
    for each in "" $(command -v mksh); do
        shell=$each
        # Far enough that the gateway, too, asks the proxy.
        from "$https" --pin "$pin" --proxy-file "$work/proxy" --core core.test:1
        comes
        grep -q "by the proxy $proxy, which $home/.config/chatcode/gateway.toml names" "$work/said" || fail "the gateway is not told of the proxy"
    done
    shell='' with=
    was_asked "CONNECT localhost:$port"
    was_asked 'CONNECT core.test:1$'
    echo "http://ada:wrong-hush77@$proxy" >"$work/proxy"
    from "$https" --pin "$pin" --proxy-file "$work/proxy"
    refused 69 "by the proxy [htp:/]*$proxy; nothing" "$work/home"
    path=
    grep -q '^curl .*--pinnedpubkey' "$work/seen" || fail "nobody looked at the arguments"
    if command -v mksh >/dev/null; then grep -q '^printf ' "$work/seen" || fail "nobody looked at a Korn shell's"; fi
    secret=$(cut -d . -f 3 "$work/token")
    grep -q "$secret" "$work/seen" && fail "the join token was seen"
    grep -q hush77 "$work/seen" "$work/said" && fail "the password of the proxy was seen"
    ok "the password of a proxy comes by a file; neither it nor the token is in an argument or a message, also of a Korn shell"
}

proxies_that_do_not_work_are_named() {
    proxy refuses
    from "$https" --pin "$pin" --proxy "http://$proxy"
    refused 69 "could not be downloaded by the proxy http://$proxy; nothing was installed" "$work/home"
    from "$https" --pin "$pin" --proxy http://127.0.0.1:1
    refused 69 'could not be downloaded by the proxy http://127.0.0.1:1; nothing' "$work/home"
    path=$work/wget with="http_proxy=http://$proxy"
    from "$http/release"
    refused 69 "by the proxy [htp:/]*$proxy; nothing" "$work/home"
    path='' with=''
    proxy hangs
    began=$(date +%s)
    from "$https" --pin "$pin" --proxy "http://$proxy"
    refused 69 "could not be downloaded by the proxy http://$proxy; nothing was installed" "$work/home"
    [ $(($(date +%s) - began)) -lt 60 ] || fail "a proxy that hangs is waited for longer than a minute"
    ok "a proxy that refuses, hangs or is not there is named, and nothing is left"
}

# behind SOURCE ARGUMENT...: an install at a core whose name only the proxy knows.
behind() {
    place=$1
    shift
    install_into "$work/behind" --from "$place" --core "core.test:${core##*:}" "$@"
}
is_online() {
    [ "$status" = 0 ] && grep -q '^online:' "$work/said" || fail "$1 ($status)"
    the_gateway status >"$work/state"
    daemon=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$work/state")
}
is_by_tcp() { grep -q '"over":"tcp"' "$work/state" || fail "the link is not by the proxy"; }
asked_for_the_core() { grep -q "^CONNECT core.test:${core##*:}\$" "$asked"; }
the_gateway() { env -i HOME="$work/behind" PATH="$PATH" "$work/behind/.local/bin/chatcode-gateway" "$@"; }
# The settings and what is beside them, and when it was written.
written() { ls -lL --full-time "${settings%/*}" && cat "${settings%/*}"/*; }
settings=$work/behind/.config/chatcode/gateway.toml
copy=$work/behind/.config/chatcode/gateway.proxy

removed() {
    the_gateway uninstall --mode user --yes >"$work/said" 2>&1 || fail "no removal"
    daemon=
    grep -q 'was not told' "$work/said" && fail "the core was not told"
    find "$work/behind" -name '*chatcode*' >"$work/said"
    [ ! -s "$work/said" ] || fail "something of ours is left"
    rm -r "$work/behind"
}

a_machine_that_gets_out_by_a_proxy_only_is_made_by_the_one_line() {
    proxy works '' core.test=127.0.0.1
    for each in "https_proxy=http://$proxy" "https_proxy=http://$proxy all_proxy=http://$proxy" "NO_PROXY=core.test"; do
        with=$each
        case $each in NO_PROXY*) set -- --proxy "http://$proxy" ;; *) set -- ;; esac
        behind "$https" --pin "$pin" --token-file "$work/token" "$@"
        refused 69 'was not enrolled' "$work/behind"
        if asked_for_the_core; then fail "the gateway goes by the proxy with $each"; fi
    done
    with=
    behind "$https" --pin "$pin" --proxy "http://$proxy" --dry-run
    refused 0 "add to $settings: proxy = \"http://$proxy\"" "$work/behind"
    token gateway >"$work/real"
    behind "$https" --pin "$pin" --proxy "http://$proxy" --token-file "$work/real"
    is_online "no install by the proxy only"
    asked_for_the_core || fail "the gateway was not enrolled by the proxy"
    [ "$(head -n 1 "$settings")" = "proxy = \"http://$proxy\"" ] || fail "the proxy is not in the settings"
    is_by_tcp
    ok "where only a proxy knows the core, the one line with --proxy enrolls and links by it, and with the environment's does not"

    written >"$work/before"
    behind "$https" --pin "$pin" --proxy "http://$proxy"
    is_online "it does not run again by the proxy"
    grep -q "$settings has a proxy already, which stays" "$work/said" || fail "it is not said that the proxy stays"
    behind "$https" --pin "$pin" --proxy http://127.0.0.1:1 --from "$work/release"
    is_online "another proxy is taken for the gateway's"
    written >"$work/after"
    cmp -s "$work/before" "$work/after" || { diff "$work/before" "$work/after" >"$work/said" || true; fail "the second run changes something"; }
    removed
    ok "run again, with the same proxy or another, nothing changes; its leave goes by the proxy, and nothing is left"
}

# Settings of a person's, kept elsewhere.
settings_of_ones_own_stay_but_for_the_proxy() {
    proxy works ada:hush77 core.test=127.0.0.1
    echo "http://ada:hush77@$proxy" >"$work/proxy"
    mkdir -p "${settings%/*}" "$work/kept"
    printf '# "mine"\nruntime_dir = "%s"\n\n[update] # proxy = "none"\npolicy = "off"\n[session_limits]' "$work/behind/.chatcode" >"$work/kept/mine"
    cp "$work/kept/mine" "$work/kept/gateway.toml"
    chmod 640 "$work/kept/gateway.toml"
    ln -s ../../../kept/gateway.toml "$settings"
    behind "$https" --pin "$pin" --proxy-file "$work/proxy" --dry-run
    grep -q "write $copy (mode 600)" "$work/said" && grep -q "add to $settings: proxy_file = \"$copy\"" "$work/said" || fail "a dry run does not tell of the copy"
    grep -q hush77 "$work/said" && fail "a dry run tells the password"
    behind "$https" --pin "$pin" --proxy-file "$work/proxy" --token-file "$work/token"
    [ "$status" = 77 ] && asked_for_the_core || fail "a token of nobody is taken by the proxy ($status)"
    cmp -s "$work/kept/mine" "$work/kept/gateway.toml" && [ "$(find "$work/behind" "$work/kept" ! -type d | wc -l)" = 3 ] || fail "what was not enrolled is not as it was"
    token gateway >"$work/real"
    behind "$https" --pin "$pin" --proxy-file "$work/proxy" --token-file "$work/real"
    is_online "no install by a proxy with a password"
    { printf 'proxy_file = "%s"\n' "$copy" && cat "$work/kept/mine"; } | cmp -s - "$work/kept/gateway.toml" || fail "other settings are not as they were"
    [ -L "$settings" ] && [ "$(stat -c %a "$work/kept/gateway.toml")" = 640 ] || fail "the file of the settings is another kind of file"
    [ "$(stat -c '%a %u' "$copy")" = "600 $(id -u)" ] && cmp -s "$work/proxy" "$copy" || fail "the copy is not private, or no copy"
    is_by_tcp
    [ "$(grep -rlF hush77 "$work/behind" "$work/said")" = "$copy" ] || fail "the password is elsewhere, too"
    grep -qaF hush77 "/proc/$daemon/cmdline" "/proc/$daemon/environ" && fail "the daemon shows the password"
    written >"$work/before"
    behind "$https" --pin "$pin" --proxy-file "$work/proxy"
    is_online "it does not run again by a proxy with a password"
    written >"$work/after"
    cmp -s "$work/before" "$work/after" || { diff "$work/before" "$work/after" >"$work/said" || true; fail "the second run changes something"; }
    removed
    # The line of the settings has outlasted the copy; a file from Windows.
    mkdir -p "${settings%/*}"
    ln -s ../../../kept/gateway.toml "$settings"
    cp "$work/kept/gateway.toml" "$work/kept/before"
    printf ' %s\r\n' "http://ada:hush77@$proxy" >"$work/windows"
    token gateway >"$work/real"
    behind "$https" --pin "$pin" --proxy-file "$work/windows" --token-file "$work/real"
    is_online "no second install by a proxy with a password"
    cmp -s "$work/proxy" "$copy" && cmp -s "$work/kept/before" "$work/kept/gateway.toml" || fail "the copy is not there again, or settings are not as they were"
    removed
    ok "a proxy with a password is copied into a private file, and the settings that are there stay as they were to the byte"
}

proxies_that_the_gateway_does_not_take_are_for_downloads() {
    proxy works '' core.test=127.0.0.1
    echo "http://ada:hush%77s%@$proxy" >"$work/proxy"
    for each in "--proxy socks5://$proxy" '--proxy http://proxy' "--proxy http://$proxy/path" "--proxy-file $work/proxy"; do
        behind "$work/release" --token-file "$work/token" $each
        grep -q 'the proxy is for downloads alone: the gateway takes http://HOST:PORT and no other' "$work/said" || fail "it is not said that the gateway does not take $each"
        refused 69 'was not enrolled' "$work/behind"
    done
    mkdir -p "${settings%/*}"
    printf 'log = \n' >"$settings"
    behind "$work/release" --token-file "$work/token" --proxy "http://$proxy"
    [ "$status" = 1 ] && grep -q "$settings cannot be read: this is no TOML" "$work/said" || fail "it is not said that settings are no TOML ($status)"
    [ "$(cat "$settings")" = 'log = ' ] && [ "$(find "$work/behind" ! -type d | wc -l)" = 1 ] || fail "settings that are no TOML are not as they were"
    rm -r "$work/behind"
    # An address of this machine that is not known as one.
    token gateway >"$work/real"
    behind "$work/release" --token-file "$work/real" --proxy "socks5://$proxy" --core "0.0.0.0:${core##*:}"
    is_online "a proxy that the gateway does not take ends an install"
    grep -q proxy "$settings" && fail "the settings have a proxy that the gateway does not take"
    behind "$work/release" --proxy "$proxy" --core "0.0.0.0:${core##*:}"
    is_online "a machine that is enrolled does not run again with a proxy"
    grep -q "the proxy is for downloads alone: $settings names none, and stays as it is" "$work/said" || fail "it is not said that settings stay"
    removed
    token gateway >"$work/real"
    behind "$work/release" --token-file "$work/real" --proxy "$proxy"
    is_online "no install by a proxy without a scheme"
    grep -qx "proxy = \"http://$proxy\"" "$settings" || fail "a proxy without a scheme is not one of HTTP"
    removed
    ok "a proxy that the gateway does not take is for downloads alone, as it is for a machine that is enrolled, and it is said"
}

# Whose words are compared with those of the first.
every_shell_runs_it_alike() {
    first=
    for each in "$(command -v dash || command -v sh)" "bash --posix" "busybox sh" mksh yash; do
        if ! command -v "${each%% *}" >/dev/null; then
            skip "${each%% *}" "this shell is not here"
            continue
        fi
        shell=$each
        install_into "$work/home" --help
        refused 0 'the release: a folder of' "$work/home"
        mv "$work/said" "$work/help"
        install_into "$work/home" --from "$work/release" --core 127.0.0.1:1 --dry-run
        refused 0 'enrolling at 127.0.0.1:1' "$work/home"
        cat "$work/said" >>"$work/help"
        from "$work/release"
        comes
        grep -v '^{\|^chatcode' "$work/said" >>"$work/help"
        if [ -z "$first" ]; then
            first=$each
            mv "$work/help" "$work/first"
        fi
        [ ! -e "$work/help" ] || cmp -s "$work/first" "$work/help" || { diff "$work/first" "$work/help" >"$work/said" || true; fail "$each says it otherwise than $first"; }
        env -i HOME="$work/home" PATH="$PATH" $each "$work/release/cleanup.sh" --mode user --dry-run >"$work/said" 2>&1 || fail "$each does not run cleanup.sh"
        grep -q 'not installed here' "$work/said" || fail "$each says otherwise what cleanup.sh finds"
    done
    shell=
    ok "dash, bash, busybox, mksh and yash run the scripts alike, with the same words"
}

trap leave EXIT
trap 'exit 130' INT TERM
for each in openssl:openssl wget:wget curl:curl busybox:busybox mksh:mksh yash:yash; do
    [ "$(id -u)" != 0 ] || needs "${each%:*}" "${each#*:}"
done
make_release
script=$work/release/install.sh
a_token_of_nobody "$work/token"
serve_the_release
curl_checks_the_pin
wget_does_what_it_can_check
without_curl_the_reason_is_told
proxies_are_used_and_left_out
a_proxy_s_password_is_in_no_argument
proxies_that_do_not_work_are_named
a_machine_that_gets_out_by_a_proxy_only_is_made_by_the_one_line
settings_of_ones_own_stay_but_for_the_proxy
proxies_that_the_gateway_does_not_take_are_for_downloads
every_shell_runs_it_alike
