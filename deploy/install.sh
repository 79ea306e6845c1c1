#!/bin/sh
# Installs chatcode on this machine from a release (docs/install.md), or brings
# what is installed up to it. Run again it keeps identity, settings and sessions.
# Nothing runs before the release's signature and each file's SHA-256 are
# checked; what fails half-way is taken back. `--help` tells the options.
set -eu
# Programs and units are for others to read; what is private says so itself.
umask 022

# Whose releases are taken; put in when a release is made.
release_key='-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAnJNuZUcj9XXBI+Lw/W6vkBwgq9r6AFRw170H7INxVRE=
-----END PUBLIC KEY-----'

usage() {
    cat <<'END'
Installs the gateway of chatcode, or with --server its core and edge.

  --from URL|FOLDER     the release: a folder of a web server or of this machine
  --binary-source PATH  the same without a network: a release folder, or an
                        archive in one
  --version VERSION     only this one; may be older than what is installed
  --core HOST:PORT      the core to enroll at (TCP); needed the first time
  --name NAME           the name that this machine wishes, if its token has none;
                        else that of the host
  --token-stdin         read the join token from standard input;
  --token-file FILE     or from this file; else it is asked for on the terminal
  --reenroll            throw the identity of this machine away
  --mode system|user    system: as root, by systemd, shells of another user;
                        user: without root, shells of your own
  --user NAME           system: whose shells are started; else vibe, made if needed
  --sudo none|apt|all   system: what that user may do as root; else none
  --pin sha256//KEY     of the TLS key of the server at --from (curl only)
  --proxy URL           for downloads, enrollment and link; NO_PROXY is heeded, and
                        https_proxy for downloads
  --proxy-file FILE     the same from a file, for one with a password
  --wait SECONDS        for the link at the end; else 30
  --no-start            install and enroll only
  --dry-run             tell every step, change nothing

  --server              core and edge on this machine, and a first sign-in
  --origin URL          where browsers will open the page; else http://localhost:7420
  --tls-cert FILE --tls-key FILE   of the page, PEM; needed beyond this machine
  --listen IP:PORT      of the page; --core-listen, --link-listen of the core
END
}

# --- words ---

say() { printf '%s\n' "$*" >&2; }
doing=beginning
step() {
    doing=$*
    say "- $*"
}
# die CODE WORDS
die() {
    code=$1
    shift
    say "install.sh: $*"
    exit "$code"
}
usage_error() { die 2 "$*; --help tells the options"; }
has() { command -v "$1" >/dev/null 2>&1; }
# What may be secret, as a line of standard output: never by a program of its own,
# whose arguments all can read, and Korn shells have no printf.
if [ "$(command -v print)" = print ]; then
    give() { print -r -- "$1"; }
else
    give() { printf '%s\n' "$1"; }
fi
# One word for a shell that reads it again.
quote() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
# act COMMAND...: does it; in a dry run tells it.
act() {
    if [ -n "$dry" ]; then say "    $*"; else "$@"; fi
}
# write MODE FILE [OWNER]: standard input becomes the file, whole or not at all.
write() {
    if [ -n "$dry" ]; then
        say "    write $2 (mode $1)"
        cat >/dev/null
        return
    fi
    (umask 077 && cat >"$2.new") || { rm -f "$2.new"; return 1; }
    if [ -n "${3:-}" ]; then chown "$3" "$2.new"; fi
    chmod "$1" "$2.new"
    mv -f "$2.new" "$2"
}

# --- taking back ---

undo=
work=
running=
started=
# on_failure COMMAND: what takes the last step back; the newest goes first.
on_failure() {
    undo="$1
$undo"
}
finish() {
    status=$?
    set +e
    trap - EXIT
    trap '' HUP INT TERM
    [ -z "$echo_off" ] || stty "$echo_off" </dev/tty
    # A store of a newer schema that was used is none that may be thrown away.
    if [ "$status" != 0 ] && [ -n "$core_started" ] && [ -n "$(store_before)" ] && has_served; then
        undo=
        say "install.sh: not done, at: $doing; the core has brought its store up to date and served, so version $new stays: mend what was said and run this again"
    fi
    # A dry run has done nothing that could be taken back.
    if [ "$status" != 0 ] && [ -n "$undo" ] && [ -z "${dry:-}" ]; then
        say "install.sh: not done, at: $doing; taking back what was done"
        eval "$undo" >/dev/null 2>&1
        if [ -n "$core_started" ]; then
            systemctl is-active --quiet chatcode-core.service chatcode-edge.service || say "install.sh: version $installed does not run either; journalctl -u chatcode-core -u chatcode-edge says why"
        fi
    fi
    if [ -n "$work" ]; then
        rm -rf "$work"
        if [ "$status" != 0 ] && [ -z "${dry:-}" ]; then unmake "$versions" "$above"; fi
    fi
    exit "$status"
}

# folder PATH: makes it and what is missing above it.
folder() {
    [ ! -d "$1" ] || return 0
    on_failure "unmake $(quote "$1") $(quote "$(nearest "$1")")"
    act mkdir -p "$1"
}

# unmake FOLDER ABOVE: removes it, and what it is in up to ABOVE, while they are empty.
unmake() {
    empty=$1
    while [ "$empty" != "$2" ] && [ "$empty" != / ]; do
        rmdir "$empty" 2>/dev/null || { [ ! -e "$empty" ] || return 0; }
        empty=$(dirname "$empty")
    done
}

# --- what is asked for ---

arguments() {
    # One of the caller's by these names would give a secret on to every program.
    unset proxy via token
    source='' version='' channel='' core='' name='' token_from=tty token_file='' reenroll='' mode='' user='' sudo_level=none
    pin='' proxy='' proxy_file='' via='' token='' wait_s=30 start=1 dry='' server='' origin='' tls_cert='' tls_key='' echo_off=''
    listen='' core_listen='' link_listen='' core_started='' core_served=''
    while [ $# -gt 0 ]; do
        case $1 in
            --help | -h) usage; exit 0 ;;
            --token-stdin) token_from=stdin ;;
            --reenroll) reenroll=1 ;;
            --no-start) start='' ;;
            --dry-run) dry=1 ;;
            --server) server=1 ;;
            --from | --binary-source | --version | --core | --name | --token-file | --mode | --user | --sudo | --pin | \
                --proxy | --proxy-file | --wait | --origin | --tls-cert | --tls-key | --listen | --core-listen | --link-listen)
                [ $# -ge 2 ] || usage_error "$1 needs a value"
                value "$1" "$2"
                shift
                ;;
            *) usage_error "$1 is no option" ;;
        esac
        shift
    done
}

value() {
    case $2 in
        '' | *[![:print:]]*) usage_error "the value of $1 is empty or has a control character" ;;
    esac
    case $1 in
        --from | --binary-source) source=$2 ;;
        --version) version=$2 ;;
        --core) core=$2 ;;
        --name) name=$2 ;;
        --token-file) token_from=file token_file=$2 ;;
        --mode) mode=$2 ;;
        --user) user=$2 ;;
        --sudo) sudo_level=$2 ;;
        --pin) pin=$2 ;;
        --proxy) proxy=$2 ;;
        --proxy-file) proxy_file=$2 ;;
        --wait) wait_s=$2 ;;
        --origin) origin=$2 ;;
        --tls-cert) tls_cert=$2 ;;
        --tls-key) tls_key=$2 ;;
        --listen) listen=$2 ;;
        --core-listen) core_listen=$2 ;;
        --link-listen) link_listen=$2 ;;
    esac
}

# --- the machine ---

detect() {
    case $(uname -s) in
        Linux) os=linux ;;
        Darwin) os=macos ;;
        *) die 1 "there are no programs for $(uname -s); they are made for Linux and macOS" ;;
    esac
    case $(uname -m) in
        x86_64 | amd64) arch=amd64 ;;
        aarch64 | arm64) arch=arm64 ;;
        *) die 1 "there are no programs for $(uname -m); they are made for amd64 and arm64" ;;
    esac
    packages=
    for each in apt-get:'apt-get install' dnf:'dnf install' yum:'yum install' zypper:'zypper install' \
        pacman:'pacman -S' apk:'apk add' brew:'brew install'; do
        if [ -z "$packages" ] && has "${each%%:*}"; then packages=${each#*:}; fi
    done
    init=none
    if [ "$os" = macos ]; then init=launchd; elif [ -d /run/systemd/system ]; then init=systemd; fi
    uid=$(id -u)
    if [ -z "$mode" ]; then
        mode=user
        if [ "$uid" = 0 ]; then mode=system; fi
    fi
}

# needs PROGRAM PACKAGE
needs() {
    has "$1" || die 78 "$1 is missing; install it with: ${packages:-the package manager, package} $2"
}

check_machine() {
    for each in tar gzip awk sed df mktemp cmp; do needs "$each" "$each"; done
    has sha256sum || has shasum || die 78 "neither sha256sum nor shasum is here; install it with: ${packages:-your packages,} coreutils"
    case $source in
        http://* | https://*)
            check_downloader
            read_proxy
            check_proxy
            ;;
        *) [ -n "$server" ] || read_proxy ;;
    esac
    if can_openssl; then
        verifier=openssl
    elif has ssh-keygen && has base64; then
        verifier=ssh-keygen
    else
        die 78 "nothing here can check the release's signature; install OpenSSL 3 or OpenSSH with: ${packages:-your packages,} openssl"
    fi
    case $mode in
        system)
            [ "$uid" = 0 ] || die 77 "a system install is made by root; run it with sudo, or without --mode system for yourself alone"
            [ "$init" = systemd ] || die 78 "this machine does not run systemd, which a system install needs; install it for yourself alone with --mode user (on macOS: not as root)"
            has systemd-run || die 78 "systemd-run is missing; install systemd's programs"
            case $user in '' | *[!A-Za-z0-9_.-]* | -*) [ -z "$user" ] || usage_error "$user is no name of a user" ;; esac
            [ "$user" != root ] || usage_error "shells are never root's; name another --user, and see --sudo"
            if [ -n "$user" ] && ! id "$user" >/dev/null 2>&1; then die 1 "there is no user $user; make it first, or leave --user out"; fi
            ;;
        user)
            [ -z "$server" ] || usage_error "--server is a system install; run it as root"
            [ -z "$user" ] || usage_error "--user is for a system install; here shells are your own"
            [ "$sudo_level" = none ] || usage_error "--sudo is for a system install"
            case ${HOME:-} in /*) ;; *) die 78 "HOME is not set to a folder" ;; esac
            ;;
        *) usage_error "--mode is system or user" ;;
    esac
    case $sudo_level in
        none) ;;
        apt | all) needs visudo sudo ;;
        *) usage_error "--sudo is none, apt or all" ;;
    esac
    case $wait_s in '' | *[!0-9]* | ?????*) usage_error "--wait is a number of seconds" ;; esac
    case $source in
        '') usage_error "--from is missing: where the release is" ;;
        https://*) ;;
        http://localhost | http://localhost[:/]* | http://127.* | "http://[::1]"*) ;;
        http://*) die 78 "$source is not HTTPS; without it only this machine itself is asked" ;;
        *://*) usage_error "$source is neither a URL of the web nor a folder" ;;
        *) [ -e "$source" ] || die 1 "$source is not there" ;;
    esac
    source=${source%/}
}

# Which program downloads, and whether it can tell whose server it speaks to.
check_downloader() {
    how="install it with: ${packages:-your packages,} curl"
    if has curl; then
        downloader=curl
    elif ! has wget; then
        die 78 "neither curl nor wget is here; $how"
    else
        downloader=wget
        case $(wget --version 2>/dev/null || true) in "GNU Wget"*) ;; *) downloader=small-wget ;; esac
        [ -z "$pin" ] || die 78 "the server's key is known by --pin alone, which only curl can check; $how"
        case $downloader:$source in
            small-wget:https:*) die 78 "this wget may take any server's certificate, so nobody would vouch for what comes; curl and GNU wget do not: $how" ;;
        esac
    fi
}

# Sets `proxy`: that of the options, or nothing.
read_proxy() {
    case $proxy in
        *@*) die 2 "everybody on this machine could read the password in --proxy; put the URL into a file of your own and say --proxy-file FILE" ;;
    esac
    if [ -n "$proxy_file" ]; then
        [ -r "$proxy_file" ] || die 1 "$proxy_file cannot be read"
        IFS= read -r proxy <"$proxy_file" || [ -n "$proxy" ] || die 1 "$proxy_file holds no URL of a proxy"
        # Blanks around it, and what Windows ends a line with.
        proxy=$(give "$proxy" | tr -d ' \t\r\n')
    fi
    no_proxy=${no_proxy:-${NO_PROXY:-}}
}

# Sets `via`: the proxy that downloads go by, or nothing.
check_proxy() {
    case $source in
        https:*) via=${proxy:-${https_proxy:-${HTTPS_PROXY:-${all_proxy:-${ALL_PROXY:-}}}}} ;;
        *) via=${proxy:-${http_proxy:-${all_proxy:-${ALL_PROXY:-}}}} ;;
    esac
    place=${source#*://}
    place=${place%%/*}
    host_of "${place##*@}"
    if is_near "$host"; then via=; fi
}

# host_of HOST[:PORT]: sets `host`.
host_of() {
    case $1 in "["*) host=${1#?} host=${host%%]*} ;; *) host=${1%:*} ;; esac
}

# is_near HOST: no_proxy names it, or a domain that it is in, or everything.
is_near() {
    set -f
    found=1
    for each in $(printf '%s' "$no_proxy" | tr ',' ' '); do
        each=${each#.}
        case $1 in "$each" | *."$each") found=0 ;; esac
        if [ "$each" = '*' ]; then found=0; fi
    done
    set +f
    return "$found"
}

can_openssl() { has openssl && case $(openssl version 2>/dev/null) in "OpenSSL "[3-9]*) true ;; *) false ;; esac; }

places() {
    if [ "$mode" = system ]; then
        lib=/usr/local/lib/chatcode bin=/usr/local/bin etc=/etc/chatcode units=/etc/systemd/system
        data=/var/lib/chatcode/gateway config=$etc/gateway.toml
    else
        lib=$HOME/.local/lib/chatcode bin=$HOME/.local/bin etc=${XDG_CONFIG_HOME:-$HOME/.config}/chatcode
        units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
        # launchd's services never see these variables.
        if [ "$init" = launchd ]; then etc=$HOME/.config/chatcode; fi
        agent=$HOME/Library/LaunchAgents/dev.chatcode.gateway.plist
        data=${XDG_DATA_HOME:-$HOME/.local/share}/chatcode/gateway config=$etc/gateway.toml
    fi
    short_sockets
    role=gateway versions=$lib programs='chatcode-gateway chatcode-holder chatcode-spawner chatcode'
    # A core and a gateway on one machine may be of different versions.
    if [ -n "$server" ]; then role=server versions=$lib/server programs='chatcode-core chatcode-edge chatcode'; fi
    installed=$(readlink "$versions/current" 2>/dev/null || true)
}

# A socket of a session is named by at most 107 bytes, on macOS 103; 58 of them are
# behind this folder. Sets `sockets` where the usual place is too long for that.
short_sockets() {
    sockets='' most=49
    if [ "$os" = macos ]; then most=45; fi
    [ "$mode" = user ] && [ "$(printf '%s' "$data" | wc -c)" -gt "$most" ] || return 0
    sockets=$HOME/.chatcode
    if [ "$(printf '%s' "$sockets" | wc -c)" -gt "$most" ] && [ ! -e "$config" ]; then
        die 78 "the path of your home, $HOME, leaves no room for the names of sockets; set HOME to a link with a shorter one"
    fi
}

# The folder itself, or the nearest one above it that is there.
nearest() {
    near=$1
    while [ ! -e "$near" ]; do near=$(dirname "$near"); done
    printf '%s' "$near"
}

check_places() {
    for each in "$versions" "$bin" "$etc"; do
        near=$(nearest "$each")
        if [ ! -d "$near" ] || [ ! -w "$near" ]; then die 1 "$near cannot be written to, so nothing can be put into $each"; fi
    done
    if [ "$mode" = user ] && [ ! -e "$config" ] && [ -e "$data/identity/identity.pem" ]; then
        die 75 "this machine is a gateway already, by \`chatcode up\` or by hand: its identity is in $data. There is nothing to install; to have it as a service, stop that one, move the folder away and run this again"
    fi
    for each in $programs; do
        target=$(readlink "$bin/$each" 2>/dev/null || true)
        case $target in
            "$lib"/*) ;;
            *) [ ! -e "$bin/$each" ] || die 1 "$bin/$each is there and not of this installer; move it away" ;;
        esac
    done
    if [ -f "$config" ] && [ -n "$user" ] && ! grep -qx "session_user = \"$user\"" "$config"; then
        die 78 "$config is there with another session_user; change it there and in $etc/spawner, then run this without --user"
    fi
}

# --- the join token: in no argument, environment or file of ours ---

read_token() {
    if [ -n "$server" ] || { [ -e "$data/identity/identity.pem" ] && [ -z "$reenroll" ]; }; then return; fi
    [ -n "$core" ] || usage_error "--core is missing: the HOST:PORT to enroll at"
    [ -z "$dry" ] || return 0
    case $token_from in
        stdin) IFS= read -r token || true ;;
        file) IFS= read -r token <"$token_file" || [ -n "$token" ] || die 1 "$token_file holds no join token" ;;
        tty)
            # Also when the script itself comes on standard input.
            if ! (: </dev/tty) 2>/dev/null; then
                die 2 "there is no terminal to ask for the join token on; give it by --token-file FILE, or on standard input with --token-stdin"
            fi
            echo_off=$(stty -g </dev/tty)
            stty -echo </dev/tty
            # Asked only now: whoever types at once is not shown either.
            printf 'The join token (it is not shown): ' >/dev/tty
            IFS= read -r token </dev/tty || true
            stty "$echo_off" </dev/tty
            echo_off=
            printf '\n' >/dev/tty
            ;;
    esac
    case $token in
        chatcode1.*.*.*) ;;
        *) die 2 "that is not a join token; copy it whole, it begins with chatcode1." ;;
    esac
}

# --- the release ---

manifest_most=65536
archive_most=536870912

# fetch NAME FILE MOST: a file of the release, of at most MOST bytes.
fetch() {
    case $source in
        http://* | https://*) download "$source/$1" "$2" "$3" ;;
        *)
            [ -f "$source/$1" ] || die 1 "$source has no $1"
            cp "$source/$1" "$2"
            ;;
    esac
    if [ "$(wc -c <"$2")" -gt "$3" ]; then die 1 "$1 is larger than $3 bytes, so it is not one of ours"; fi
}

# download URL FILE MOST: in at most 15 minutes, 30 seconds without a byte are too long.
download() {
    checking=$doing
    doing="$doing, downloading ${1##*/}"
    if [ "$downloader" = curl ]; then
        # A redirect is not followed: the release is where it was said to be.
        got=$(by_proxy curl_for "$@") || not_downloaded "$1"
        [ "$got" = 200 ] || die 69 "$1 answers with HTTP $got; the release has to lie there itself"
    else
        (by_proxy wget_for "$@") || not_downloaded "$1"
    fi
    doing=$checking
}

not_downloaded() {
    words="$1 could not be downloaded"
    # Without what a proxy's URL says of a password.
    if [ -n "$via" ]; then words="$words by the proxy ${via##*@}"; fi
    die 69 "$words; nothing was installed"
}

curl_for() {
    scheme=${source%%:*}
    set -- "$@" curl --fail --globoff --proto "=$scheme" --connect-timeout 10 --max-time 900 --speed-limit 1 --speed-time 30 \
        --retry 2 --max-filesize "$3" --output "$2" --write-out '%{http_code}'
    # The pin vouches for a server whose certificate nobody else does.
    if [ -n "$pin" ]; then set -- "$@" --insecure --pinnedpubkey "$pin"; fi
    case $1 in
        *.tar.gz) if [ -t 2 ]; then set -- "$@" --progress-bar; else set -- "$@" --silent --show-error; fi ;;
        *) set -- "$@" --silent --show-error ;;
    esac
    url=$1
    shift 3
    "$@" "$url"
}

wget_for() {
    set -- "$@" wget -O "$2"
    if [ "$downloader" = wget ]; then
        set -- "$@" -nv -o "$work/wget.said" --timeout=30 --tries=3 --max-redirect=0 --no-hsts
    else
        set -- "$@" -q
        case $(wget --help 2>&1 || true) in *'-T SEC'*) set -- "$@" -T 30 ;; esac
    fi
    url=$1
    shift 3
    if has timeout; then set -- timeout 900 "$@"; fi
    "$@" "$url" && return
    if [ -s "$work/wget.said" ]; then sed 's/^/  wget: /' "$work/wget.said" >&2; fi
    return 1
}

# A proxy may have a password: the environment of this one program, no argument. In a subshell.
by_proxy() {
    unset HTTPS_PROXY all_proxy ALL_PROXY
    export https_proxy="$via" http_proxy="$via" no_proxy
    "$@"
}

sha256() {
    if has sha256sum; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -c 1-64
}

verify_manifest() {
    fetch manifest "$work/manifest" "$manifest_most"
    if [ "$verifier" = openssl ]; then
        fetch manifest.sig "$work/manifest.sig" 4096
        printf '%s\n' "$release_key" >"$work/key.pem"
        openssl pkeyutl -verify -pubin -inkey "$work/key.pem" -rawin -in "$work/manifest" \
            -sigfile "$work/manifest.sig" >/dev/null 2>&1
    else
        fetch manifest.sshsig "$work/manifest.sshsig" 4096
        printf 'chatcode-release namespaces="chatcode-release" ssh-ed25519 %s\n' "$(ssh_key)" >"$work/signers"
        ssh-keygen -Y verify -f "$work/signers" -I chatcode-release -n chatcode-release \
            -s "$work/manifest.sshsig" <"$work/manifest" >/dev/null 2>&1
    fi || die 77 "the release at $source is not signed by the key that this script knows; it was changed on the way, or is another's"
}

# The same key as OpenSSH writes it: its kind and the 32 bytes, each behind its length.
ssh_key() {
    raw=$(printf '%s\n' "$release_key" | sed -n 's/^MCowBQYDK2VwAyEA//p')
    {
        printf '\000\000\000\013ssh-ed25519\000\000\000\040'
        printf '%s\n' "$raw" | base64 -d 2>/dev/null || printf '%s\n' "$raw" | base64 -D
    } | base64 | tr -d '\n'
}

# Every line of the manifest is known, or none counts: `FIELD VALUE` as shell words.
read_manifest() {
    awk '
        function bad(why) { print "line " NR ": " why > "/dev/stderr"; failed = 1; exit 1 }
        NR == 1 { if ($0 != "chatcode-release 1") bad("not a release of format 1"); next }
        !/^[ -~]+$/ { bad("not plain text") }
        $1 == "version" && NF == 2 && $2 ~ /^[0-9]+[.][0-9]+[.][0-9]+(-[0-9A-Za-z.]+)?$/ { version = $2; next }
        $1 == "channel" && NF == 2 && $2 ~ /^[a-z0-9-]+$/ { print "channel", $2; next }
        $1 == "released" && NF == 2 && $2 ~ /^[0-9]+$/ { next }
        $1 == "oldest" && NF == 2 && $2 ~ /^[0-9]+[.][0-9]+[.][0-9]+(-[0-9A-Za-z.]+)?$/ { oldest = $2; next }
        function file_ok(sha, size, name) {
            return length(sha) == 64 && sha !~ /[^0-9a-f]/ && size ~ /^[0-9]+$/ && length(size) <= 10 && name ~ /^[A-Za-z0-9][A-Za-z0-9._-]*$/
        }
        $1 == "file" && NF == 7 && file_ok($2, $3, $7) { print "file", $2, $3, $4, $5, $6, $7; next }
        $1 == "script" && NF == 4 && file_ok($2, $3, $4) { print "file", $2, $3, "script", "any", "any", $4; next }
        { bad("not known") }
        END { if (!failed) { if (version == "" || oldest == "") exit 1; print "version", version; print "oldest", oldest } }
    ' "$work/manifest" >"$work/lines" || die 1 "the manifest of $source cannot be read; take a newer install.sh"
    new=$(sed -n 's/^version //p' "$work/lines")
    oldest=$(sed -n 's/^oldest //p' "$work/lines")
    channel=$(sed -n 's/^channel //p' "$work/lines")
    if [ -n "$version" ] && [ "$new" != "$version" ]; then die 1 "$source holds version $new, and $version was asked for"; fi
    if [ -n "$installed" ]; then
        if older "$new" "$installed" && [ -z "$version" ]; then
            die 77 "$source holds version $new, older than the installed $installed; to go back say --version $new"
        fi
        if older "$installed" "$oldest"; then die 1 "version $new takes over from $oldest on, and $installed is installed; install $oldest first"; fi
    fi
}

# older A B: whether version A is older than B.
older() {
    [ "$1" != "$2" ] && awk -v a="$1" -v b="$2" 'BEGIN {
        split(a, x, /[.-]/); split(b, y, /[.-]/)
        for (i = 1; i <= 3; i++) if (x[i] + 0 != y[i] + 0) exit !(x[i] + 0 < y[i] + 0)
        pa = index(a, "-"); pb = index(b, "-")
        if (!pa || !pb) exit !pa
        exit !(substr(a, pa) < substr(b, pb))
    }'
}

# listed ROLE OS ARCH: SHA-256, size and name of the file that the manifest has for it.
listed() {
    awk -v role="$1" -v os="$2" -v arch="$3" '$1 == "file" && $4 == role && $5 == os && $6 == arch { print $2, $3, $7; exit }' "$work/lines"
}

# get SHA256 SIZE NAME FILE
get() {
    [ "$2" -le "$archive_most" ] || die 1 "$3 is said to have $2 bytes, more than a release has"
    fetch "$3" "$4" "$2"
    if [ "$(wc -c <"$4" | tr -d ' ')" != "$2" ] || [ "$(sha256 "$4")" != "$1" ]; then
        die 77 "$3 is not the file that the signed manifest names: it is cut or changed"
    fi
}

# Downloads, checks and unpacks beside what is installed.
stage() {
    step "checking the release at $source"
    if [ -n "$dry" ]; then
        say "    download manifest, check its signature with $verifier, download and check the $role archive for $os $arch"
        new=${version:-VERSION}
        return
    fi
    case $source in
        *.tar.gz)
            wanted=$(basename "$source")
            source=$(dirname "$source")
            ;;
        *) wanted= ;;
    esac
    above=$(nearest "$versions")
    mkdir -p "$versions"
    work=$(mktemp -d "$versions/.staged.XXXXXX")
    verify_manifest
    read_manifest
    line=$(listed "$role" "$os" "$arch")
    [ -n "$line" ] || die 1 "version $new has no $role for $os $arch"
    # shellcheck disable=SC2086 # three words
    set -- $line
    if [ -n "$wanted" ] && [ "$wanted" != "$3" ]; then die 1 "$wanted is not for this machine; it wants $3"; fi
    needed=$(($2 * 5 / 1024))
    free=$(df -Pk "$versions" | awk 'NR == 2 { print $4 }')
    if [ "$free" -lt "$needed" ]; then die 1 "$versions has $((free / 1024)) MiB left, and $((needed / 1024 + 1)) MiB are needed"; fi
    get "$1" "$2" "$3" "$work/archive"
    mkdir "$work/new"
    tar -xzof "$work/archive" -C "$work/new" || die 1 "$3 could not be unpacked; is the disk full?"
    printf '%s\n' "$1" >"$work/new/.archive"
    chmod -R u=rwX,go=rX "$work/new"
    rm "$work/archive"
    script=$(awk '$4 == "script" && $7 == "cleanup.sh" { print $2, $3 }' "$work/lines")
    # shellcheck disable=SC2086 # two words
    if [ -n "$script" ]; then get ${script} cleanup.sh "$work/new/cleanup.sh"; fi
    if [ -e "$work/new/cleanup.sh" ]; then chmod 755 "$work/new/cleanup.sh"; fi
    for each in $programs; do
        if [ "$each" = chatcode-spawner ] && [ "$os" = macos ]; then continue; fi
        [ -f "$work/new/$each" ] || die 1 "$3 has no $each"
        chmod 755 "$work/new/$each"
    done
    "$work/new/${programs%% *}" --version >/dev/null || die 1 "${programs%% *} of $new does not run on this machine"
}

# Makes the staged version the one that runs, and the one before it the way back.
swap() {
    step "installing version $new into $versions"
    for each in "$versions" "$bin" "$etc"; do folder "$each"; done
    if [ -n "$dry" ]; then
        say "    $versions/$new, $versions/current -> $new, and links in $bin: $programs"
        return
    fi
    if ! cmp -s "$work/new/.archive" "$versions/$new/.archive"; then
        if [ -e "$versions/$new" ]; then
            mv "$versions/$new" "$work/old"
            on_failure "mv $(quote "$work/old") $(quote "$versions/$new")"
        fi
        mv "$work/new" "$versions/$new"
        on_failure "rm -rf $(quote "$versions/$new")"
    fi
    if [ "$installed" != "$new" ]; then
        if [ -n "$installed" ]; then
            on_failure "ln -sfn $(quote "$installed") $(quote "$versions/current")"
        else
            on_failure "rm -f $(quote "$versions/current")"
        fi
        link "$new" "$versions/current"
        if [ -n "$installed" ]; then link "$installed" "$versions/previous"; fi
        # What an update made ready was meant for the version before.
        rm -f "$versions/next"
    fi
    for each in $programs; do
        [ -e "$versions/current/$each" ] || continue
        [ -e "$bin/$each" ] || on_failure "rm -f $(quote "$bin/$each")"
        link "$versions/current/$each" "$bin/$each"
    done
    for each in "$versions"/[0-9]*; do
        case ${each##*/} in "$new" | "$installed" | "$(readlink "$versions/previous" || true)") ;; *) rm -rf "$each" ;; esac
    done
}

# link TARGET PATH: a link that is there or not, never in between.
link() {
    ln -s "$1" "$2.new"
    mv -fT "$2.new" "$2" 2>/dev/null || mv -fh "$2.new" "$2" 2>/dev/null || { rm -f "$2.new" && ln -sfn "$1" "$2"; }
}

# put MODE FILE TARGET: a file of the release into its place; what was there comes back on failure.
put() {
    if [ -n "$dry" ]; then say "    install $3 (mode $1)"; return; fi
    if cmp -s "$versions/current/$2" "$3"; then return; fi
    folder "$(dirname "$3")"
    comes_back "$3"
    write "$1" "$3" <"$versions/current/$2"
}

# comes_back FILE: as it is, or its absence, on failure. Never behind a pipe.
comes_back() {
    if [ -e "$1" ]; then
        cp -p "$1" "$work/$(basename "$1").before"
        on_failure "cp -p $(quote "$work/$(basename "$1").before") $(quote "$1")"
    else
        on_failure "rm -f $(quote "$1")"
    fi
}

# --- the gateway as a service of the machine ---

as_user() {
    who=$1
    shift
    if has runuser; then runuser -u "$who" -- "$@"; else setpriv --reuid "$who" --regid "$who" --init-groups -- "$@"; fi
}

# record WORDS: what this script made, for cleanup.sh.
record() {
    if [ -z "$dry" ] && ! grep -qxF "$*" "$etc/installed" 2>/dev/null; then printf '%s\n' "$*" >>"$etc/installed"; fi
}

system_users() {
    if [ -z "$user" ] && [ -f "$config" ]; then user=$(sed -n 's/^session_user = "\(.*\)"$/\1/p' "$config"); fi
    user=${user:-vibe}
    step "users: chatcode for the gateway, $user for shells"
    service_user chatcode
    if ! id "$user" >/dev/null 2>&1; then
        act useradd --create-home --shell /bin/bash "$user"
        on_failure "userdel --remove $(quote "$user")"
        record "user $user"
    fi
    [ "$sudo_level" = none ] || grant_sudo
}

# service_user NAME: one without a shell and without a password.
service_user() {
    id "$1" >/dev/null 2>&1 && return
    act useradd --system --user-group --no-create-home --home-dir "/var/lib/$1" --shell /usr/sbin/nologin "$1"
    on_failure "userdel $(quote "$1")"
    record "service-user $1"
}

grant_sudo() {
    step "sudo of $user: $sudo_level, noted in /var/log/chatcode-sudo.log"
    allowed='(root) NOPASSWD: ALL'
    if [ "$sudo_level" = apt ]; then
        # A name that ends in a minus would remove that package.
        named='( [a-z0-9]([a-z0-9+.:-]*[a-z0-9+])?)+$'
        allowed="(root) NOPASSWD: /usr/bin/apt-get ^update\$, /usr/bin/apt-get ^install( -y)?$named"
    fi
    if [ -n "$dry" ]; then
        say "    write /etc/sudoers.d/chatcode: $user ALL=$allowed"
        return
    fi
    printf '%s\n' "Defaults:$user logfile=/var/log/chatcode-sudo.log, log_year, loglinelen=0" "$user ALL=$allowed" >"$work/sudoers"
    visudo -cqf "$work/sudoers" || die 1 "this sudo does not understand the rule for --sudo $sudo_level (1.9.10 does); nothing was granted"
    [ -e /etc/sudoers.d/chatcode ] || on_failure "rm -f /etc/sudoers.d/chatcode"
    write 440 /etc/sudoers.d/chatcode <"$work/sudoers"
}

system_files() {
    step "settings in $etc, units in $units"
    on_failure 'systemctl daemon-reload'
    act chmod 755 "$etc"
    if [ ! -d /var/lib/chatcode ]; then on_failure "rm -rf /var/lib/chatcode"; fi
    act install -d -m 711 -o chatcode -g chatcode /var/lib/chatcode
    if [ ! -e "$config" ]; then
        on_failure "rm -f $config"
        {
            printf '%s\n' 'data_dir = "/var/lib/chatcode/gateway"' 'runtime_dir = "/var/lib/chatcode"' \
                'holders = "systemd-system"' "session_user = \"$user\""
            update_settings
        } | write 644 "$config"
    fi
    if [ ! -e "$etc/spawner" ]; then
        on_failure "rm -f $etc/spawner"
        printf 'SESSION_USER=%s\n' "$user" | write 600 "$etc/spawner"
    fi
    for each in chatcode-gateway.service chatcode-spawner.socket chatcode-spawner@.service \
        chatcode-updater.socket chatcode-updater@.service; do
        put 644 "systemd/system/$each" "$units/$each"
    done
}

# Where the daemon looks for updates: where this release came from, by the web. A
# disk is gone later, the folder of one version has no other, and an address with a
# password is for nobody to read.
update_settings() {
    case $source in http://* | https://*) ;; *) return 0 ;; esac
    case $source in */"$new" | *@* | *[\"\\]*) return 0 ;; esac
    printf '\n[update]\nrelease_url = "%s"\nchannel = "%s"\n' "${source%/"$channel"}" "$channel"
}

# gateway COMMAND...: the daemon's program, as the daemon's user, with these settings.
gateway() { gateway_with "$config" "$@"; }
# gateway_with SETTINGS COMMAND...
gateway_with() {
    settings=$1
    shift
    set -- "$bin/chatcode-gateway" "$@" --config "$settings"
    if [ "$mode" = system ]; then as_user chatcode "$@"; else "$@"; fi
}

enroll() {
    if [ -e "$data/identity/identity.pem" ] && [ -z "$reenroll" ]; then
        step "the machine is enrolled already; its identity stays"
        if is_by_proxy && ! has_proxy; then say "  the proxy is for downloads alone: $config names none, and stays as it is"; fi
        return
    fi
    step "enrolling at $core"
    set_proxy
    if [ -n "$dry" ]; then say "    chatcode-gateway enroll --core $core, the token on standard input"; return; fi
    set -- enroll --core "$core" --name "${name:-$(uname -n | cut -c 1-64)}"
    if [ -n "$reenroll" ]; then
        if [ "$mode" = system ]; then systemctl stop chatcode-gateway 2>/dev/null || true; elif user_manager; then systemctl --user stop chatcode-gateway 2>/dev/null || true; fi
        set -- "$@" --force
    fi
    if [ ! -e "$data" ]; then
        above_data=$(nearest "$data")
        on_failure "rm -rf $(quote "$data") $(quote "$(dirname "$data")/gateway.log"); unmake $(quote "$data") $(quote "$above_data")"
    fi
    give "$token" | gateway "$@" >/dev/null || die $? "the machine was not enrolled"
    token=
    on_failure "gateway leave; rm -rf $(quote "$data/identity")"
}

# Whether the options name a proxy, and the core is not past it.
is_by_proxy() {
    host_of "$core"
    # No proxy leads to this machine itself.
    case $host in localhost | 127.* | ::1) return 1 ;; esac
    [ -n "$proxy" ] && ! is_near "$host"
}

# Whether the settings have one, before any table; says so.
has_proxy() {
    [ -e "$config" ] && sed '/^[[:space:]]*\[/,$d' "$config" | grep -q "^[[:space:]]*[\"']\{0,1\}proxy\(_file\)\{0,1\}[\"']\{0,1\}[[:space:]]*=" || return 1
    say "  $config has a proxy already, which stays"
}

# Makes the options' proxy the first of the gateway's settings, where no table has
# begun.
set_proxy() {
    if ! is_by_proxy; then return; fi
    copy=$etc/gateway.proxy
    if has_proxy; then
        # Settings kept elsewhere outlast the copy.
        if [ -z "$dry" ] && [ -n "$proxy_file" ] && [ ! -e "$copy" ] && grep -qxF "$(toml proxy_file "$copy")" "$config"; then copy_proxy; fi
        return
    fi
    # As curl and wget understand it.
    case $proxy in *://*) ;; *) proxy=http://$proxy ;; esac
    case $proxy in [Hh][Tt][Tt][Pp]://*) ;; *) not_by_proxy; return ;; esac
    if [ -n "$proxy_file" ]; then set -- proxy_file "$copy"; else set -- proxy "$proxy"; fi
    if [ -n "$dry" ]; then
        if [ -n "$proxy_file" ]; then say "    write $copy (mode 600)"; fi
        say "    add to $config: $(toml "$@")"
        return
    fi
    # Others may write where it leads to, and would be given what root may write.
    if [ "$mode" = system ] && [ -L "$config" ]; then
        die 1 "$config is a link, which root does not follow; name the proxy in the file itself (docs/networks.md), then run this again"
    fi
    if [ -n "$proxy_file" ]; then copy_proxy; fi
    # Where its links lead to.
    file=$config
    while [ -L "$file" ]; do
        target=$(readlink "$file")
        case $target in /*) file=$target ;; *) file=$(dirname "$file")/$target ;; esac
    done
    on_failure "rm -f $(quote "$file.new")"
    comes_back "$config"
    # A copy first, for owner and mode.
    { cp -p "$file" "$file.new" && { toml "$@" && cat "$config"; } >"$file.new"; } ||
        die 1 "$file cannot be written; put $1 into it yourself, then run this again"
    # Which proxies it takes only the gateway knows.
    problem=$(gateway_with "$file.new" check --json 2>/dev/null | sed -n 's/.*"key":"\(proxy[_a-z]*\)\{0,1\}","reason":"\([^";]*\).*/\1: \2/p') || true
    case $problem in ": "*) die 1 "$config cannot be read: ${problem#: }; correct it, then run this again" ;; esac
    if [ -n "$problem" ]; then
        rm -f "$file.new"
        if [ -n "$proxy_file" ]; then mv -f "$work/gateway.proxy.before" "$copy" 2>/dev/null || rm -f "$copy"; fi
        not_by_proxy " (${problem#*: })"
        return
    fi
    mv -f "$file.new" "$file"
    say "  by the proxy ${proxy##*@}, which $config names"
}

# What may have a password, in a private file of the gateway's.
copy_proxy() {
    owner=
    if [ "$mode" = system ]; then owner=chatcode; fi
    on_failure "rm -f $(quote "$copy.new")"
    comes_back "$copy"
    give "$proxy" | write 600 "$copy" "$owner"
}

# not_by_proxy [WHY]
not_by_proxy() { say "  the proxy is for downloads alone: the gateway takes http://HOST:PORT and no other${1:-}"; }

system_start() {
    step "starting chatcode-spawner.socket, chatcode-updater.socket and chatcode-gateway"
    [ -n "$installed" ] || on_failure 'systemctl disable --now chatcode-gateway.service chatcode-spawner.socket chatcode-updater.socket'
    act systemctl daemon-reload
    act systemctl --quiet enable chatcode-spawner.socket chatcode-updater.socket chatcode-gateway.service
    act systemctl start chatcode-spawner.socket chatcode-updater.socket
    act systemctl restart chatcode-gateway.service
}

# --- the gateway of one user ---

user_manager() { [ "$init" = systemd ] && has systemctl && systemctl --user show-environment >/dev/null 2>&1; }

toml() { printf '%s = "%s"\n' "$1" "$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')"; }

user_files() {
    step "settings in $etc"
    if [ -n "$sockets" ] && [ ! -e "$sockets" ]; then on_failure "rm -rf $(quote "$sockets")"; fi
    if [ ! -e "$config" ]; then
        on_failure "rm -f $(quote "$config")"
        {
            toml data_dir "$data"
            if [ -n "$sockets" ]; then toml runtime_dir "$sockets"; fi
            update_settings
        } | write 600 "$config"
    fi
    if user_manager; then
        put 644 systemd/user/chatcode-gateway.service "$units/chatcode-gateway.service"
    elif [ "$init" = launchd ]; then
        put 600 launchd/dev.chatcode.gateway.agent.plist "$agent"
    fi
}

user_start() {
    if user_manager; then
        step "starting chatcode-gateway by your systemd"
        if [ ! -e "/var/lib/systemd/linger/$(id -un)" ] && ! act loginctl --no-ask-password enable-linger 2>/dev/null; then say "  your systemd ends when you log out, and sessions with it: ask root for: loginctl enable-linger $(id -un)"; fi
        [ -n "$installed" ] || on_failure 'systemctl --user disable --now chatcode-gateway.service'
        act systemctl --user daemon-reload
        act systemctl --user --quiet enable chatcode-gateway.service
        act systemctl --user restart chatcode-gateway.service
    elif [ "$init" = launchd ]; then
        step "starting dev.chatcode.gateway by launchd"
        on_failure "end_agent"
        if [ -z "$dry" ]; then end_agent; fi
        start_agent ||
            die 69 "launchd takes no service of yours: you have to be logged in at this Mac itself; docs/install.md tells how without"
    else
        step "starting chatcode-gateway, detached: nothing here starts it again after a crash or a reboot"
        if [ -n "$dry" ]; then say "    chatcode-gateway run --config $config"; return; fi
        end_detached "$running"
        # shellcheck disable=SC2016 # by then it is known
        on_failure 'end_detached "$started"'
        start_detached
        say "  after a reboot: $bin/chatcode-gateway run --config $config; its log is $log"
    fi
}

start_agent() { act launchctl bootstrap "gui/$uid" "$agent"; }

# Its end takes a while, and until then launchd takes no other of this name.
end_agent() {
    launchctl bootout "gui/$uid/dev.chatcode.gateway" 2>/dev/null || return 0
    tries=0
    while launchctl print "gui/$uid/dev.chatcode.gateway" >/dev/null 2>&1 && [ "$tries" -lt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}

start_detached() {
    log=$(dirname "$data")/gateway.log
    (umask 077 && : >>"$log")
    (trap '' HUP && exec "$bin/chatcode-gateway" run --config "$config") </dev/null >>"$log" 2>&1 &
    started=$!
}

# end_detached PID: ends this daemon, and waits until it is gone; its holders stay.
end_detached() {
    if [ -z "$1" ] || ! kill "$1" 2>/dev/null; then return 0; fi
    tries=0
    while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}

# --- the end: nothing is said to be online before the link is ---

confirm() {
    step "waiting at most $wait_s s for the link to the core"
    [ -z "$dry" ] || return 0
    left=$wait_s status=69 told=
    while [ "$status" != 0 ] && [ "$status" != 77 ] && [ "$left" -gt 0 ]; do
        wait=2
        if [ "$left" -lt 2 ]; then wait=$left; fi
        left=$((left - wait))
        status=0
        state=$(gateway status --wait "$wait" 2>/dev/null) || status=$?
        if [ "$status" = 1 ] && has_ended; then break; fi
        reason=$(field reason)
        if [ "$status" = 69 ] && [ "$reason" != "$told" ]; then say "  not yet: $reason"; fi
        told=$reason
    done
    if [ "$status" = 0 ]; then
        say "online: this machine is in the page now, as $(field name)"
        return
    fi
    if [ "$status" != 69 ]; then
        say "the gateway does not run: $(field reason)"
        if [ -s "$(dirname "$data")/gateway.log" ]; then tail -n 3 "$(dirname "$data")/gateway.log" >&2; fi
        if [ "$init" = systemd ]; then say "What it said: journalctl -u chatcode-gateway (with --user in a user install)"; fi
        exit 1
    fi
    # What only has to be let through is whole, and stays.
    undo=
    say "the gateway is not online: $(field reason)"
    case $(field code) in
        core_unreachable | timeout | '')
            say "The core let the machine in, but no link came about, over UDP to $(field core) or over TCP to $core:"
            say "let UDP or TCP to that port out of this network and into the core's. The gateway runs and keeps trying."
            ;;
        *) say "The gateway runs and keeps trying." ;;
    esac
    exit 69
}

# Whether the daemon that was started is no more, so that nobody has to be waited for.
has_ended() {
    if [ "$mode" = system ]; then
        systemctl is-failed --quiet chatcode-gateway
    elif user_manager; then
        systemctl --user is-failed --quiet chatcode-gateway
    else
        [ -n "$started" ] && ! kill -0 "$started" 2>/dev/null
    fi
}

# field NAME: of the daemon's state.
field() { printf '%s' "$state" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# --- core and edge on one server ---

check_server() {
    if [ -n "$tls_cert$tls_key" ]; then
        case $tls_cert:$tls_key in /*:/*) ;; *) usage_error "--tls-cert and --tls-key belong together, as whole paths" ;; esac
        for each in "$tls_cert" "$tls_key"; do [ -r "$each" ] || die 1 "$each is not there"; done
        [ -n "$origin" ] || [ -e "$etc/edge.toml" ] || usage_error "--origin is missing: the URL under which browsers open the page"
    fi
    kept core.toml listen --core-listen "$core_listen"
    core_listen=${is:-${core_listen:-0.0.0.0:7421}}
    kept core.toml link --link-listen "$link_listen"
    link_listen=${is:-${link_listen:-0.0.0.0:7422}}
    kept core.toml data_dir '' ''
    core_data=${is:-/var/lib/chatcode-core}
    kept edge.toml origin --origin "$origin"
    origin=${is:-$origin}
    kept edge.toml listen --listen "$listen"
    listen=${is:-$listen}
    kept edge.toml tls_cert '' ''
    if [ -e "$etc/edge.toml" ] && [ -n "$tls_cert" ] && [ -z "$is" ]; then
        die 78 "$etc/edge.toml is there and without TLS; move it away, and run this again with --origin to have it made anew"
    fi
    has_tls=$tls_cert$is
    if [ -z "$listen" ]; then
        listen=127.0.0.1:7420
        if [ -n "$tls_cert" ]; then listen=0.0.0.0:443; fi
    fi
    origin=${origin:-http://localhost:${listen##*:}}
    case $listen:$has_tls in
        127.*:* | "[::1]":*) ;;
        *:) usage_error "a page on $listen needs --tls-cert and --tls-key; without them it listens on 127.0.0.1" ;;
    esac
    for each in "$listen" "$core_listen" "$link_listen"; do
        case $each in *:*[!0-9]* | *: | [!0-9[]* | *\"*) usage_error "$each is not IP:PORT" ;; *:*) ;; *) usage_error "$each is not IP:PORT" ;; esac
    done
    case $origin in *[\"\\]*) usage_error "$origin is no URL" ;; esac
    case $core_listen in 0.0.0.0:* | "[::]":*) local_core=127.0.0.1:${core_listen##*:} ;; *) local_core=$core_listen ;; esac
}

# kept FILE KEY OPTION WISH: sets `is` to what settings that are there say. They stay,
# so another wish is refused, not passed over.
kept() {
    is=$(sed -n "s/^[[:space:]]*$2[[:space:]]*=[[:space:]]*\"\(.*\)\"[[:space:]]*\$/\1/p" "$etc/$1" 2>/dev/null | head -n 1)
    if [ -n "$is" ] && [ -n "$4" ] && [ "$is" != "$4" ]; then
        die 78 "$etc/$1 is there and says $2 = \"$is\"; change it there, then run this again without $3"
    fi
}

server_files() {
    step "users chatcode-core and chatcode-edge, settings in $etc, units in $units"
    for each in chatcode-core chatcode-edge; do
        service_user "$each"
        if [ ! -d "/var/lib/$each" ]; then on_failure "rm -rf /var/lib/$each"; fi
        act install -d -m 700 -o "$each" -g "$each" "/var/lib/$each"
    done
    act chmod 755 "$etc"
    if is_new core.toml; then
        write 644 "$etc/core.toml" <<END
data_dir = "/var/lib/chatcode-core"
listen = "$core_listen"
link = "$link_listen"
END
    fi
    if is_new edge.toml; then
        {
            printf '%s\n' 'data_dir = "/var/lib/chatcode-edge"' "listen = \"$listen\"" "origin = \"$origin\"" "release_dir = \"$lib/release\""
            if [ -n "$tls_cert" ]; then
                printf '%s\n' 'tls_cert = "/run/credentials/chatcode-edge.service/cert.pem"' 'tls_key = "/run/credentials/chatcode-edge.service/key.pem"'
            fi
        } | write 644 "$etc/edge.toml"
    fi
    for each in chatcode-core.service chatcode-edge.service; do put 644 "systemd/system/$each" "$units/$each"; done
    extra=$units/chatcode-edge.service.d
    if [ -n "$tls_cert" ]; then
        part_of_unit tls.conf
        # systemd reads the key as root; the edge sees its own copy.
        printf '%s\n' '[Service]' "LoadCredential=cert.pem:$tls_cert" "LoadCredential=key.pem:$tls_key" | write 644 "$extra/tls.conf"
    fi
    if [ "${listen##*:}" -lt 1024 ]; then
        part_of_unit port.conf
        printf '%s\n' '[Service]' AmbientCapabilities=CAP_NET_BIND_SERVICE CapabilityBoundingSet=CAP_NET_BIND_SERVICE PrivateUsers=no | write 644 "$extra/port.conf"
    fi
}

# is_new FILE: whether these settings are to be written; those that are there stay.
# Never behind a pipe, where what takes it back would be forgotten.
is_new() {
    if [ -e "$etc/$1" ]; then
        step "$etc/$1 stays as it is"
        return 1
    fi
    on_failure "rm -f $etc/$1"
}

# part_of_unit FILE: the edge's unit is to get it; what was there comes back on failure.
part_of_unit() {
    folder "$extra"
    if [ ! -e "$extra/$1" ]; then
        on_failure "rm -f $extra/$1"
    elif [ -z "$dry" ]; then
        cp -p "$extra/$1" "$work/$1.before"
        on_failure "cp -p $work/$1.before $extra/$1"
    fi
}

# Keeps the release for the page to give on: it shows the line that adds a machine.
mirror() {
    step "keeping the release in $lib/release"
    [ -z "$dry" ] || return 0
    mkdir "$work/release"
    chmod 755 "$work/release"
    for each in manifest manifest.sig manifest.sshsig; do fetch "$each" "$work/release/$each" "$manifest_most"; done
    # Each of these was signed, but of whichever release lay there a moment ago.
    cmp -s "$work/manifest" "$work/release/manifest" || die 75 "the release at $source changed meanwhile; run this again"
    while read -r kind sha size _ _ _ file; do
        [ "$kind" = file ] || continue
        (get "$sha" "$size" "$file" "$work/release/$file") || say "  without $file"
    done <"$work/lines"
    chmod 644 "$work/release"/*
    if [ -d "$lib/release" ]; then mv "$lib/release" "$work/release.before"; on_failure "mv $work/release.before $lib/release"; fi
    on_failure "rm -rf $lib/release"
    mv "$work/release" "$lib/release"
}

core_token() { as_user chatcode-core "$bin/chatcode-core" token --data-dir "$core_data" --kind "$1"; }

# The copy that the core kept of its store when it changed its schema just now.
store_before() {
    for each in "$core_data"/core.db.schema-*; do
        if [ -n "$(find "$each" -newer "$work/core-started" 2>/dev/null)" ]; then printf '%s' "$each"; fi
    done
}

# Whether the new core came as far as serving anybody.
has_served() { [ -n "$core_served" ] || systemctl is-active --quiet chatcode-core.service; }

# A store that the new core has changed is none for the one before. As long as nobody
# was served, nothing is lost by the copy.
store_back() {
    systemctl stop chatcode-core.service
    copy=$(store_before)
    [ -n "$copy" ] || return 0
    rm -f "$core_data/core.db-wal" "$core_data/core.db-shm"
    cp -p "$copy" "$core_data/core.db.back" && mv -f "$core_data/core.db.back" "$core_data/core.db"
}

# does_not_start ROLE: with what it said.
does_not_start() {
    journalctl --quiet --no-pager --lines 4 --output cat -u "chatcode-$1.service" 2>/dev/null | sed 's/^/  /' >&2
    die 69 "the $1 does not start; journalctl -u chatcode-$1 says why"
}

server_start() {
    step "starting chatcode-core and chatcode-edge"
    [ -n "$installed" ] || on_failure 'systemctl disable --now chatcode-edge.service chatcode-core.service'
    act systemctl daemon-reload
    act systemctl --quiet enable chatcode-core.service chatcode-edge.service
    if [ -n "$dry" ]; then
        say "    start chatcode-core, enroll the edge and this command line, start chatcode-edge, print the first sign-in"
        return
    fi
    if [ -n "$installed" ]; then
        on_failure store_back
        : >"$work/core-started"
        core_started=1
    fi
    # Done when it serves.
    systemctl restart chatcode-core.service || does_not_start core
    core_served=1
    if [ ! -e /var/lib/chatcode-edge/identity/identity.pem ]; then
        core_token edge | as_user chatcode-edge "$bin/chatcode-edge" enroll --data-dir /var/lib/chatcode-edge --core "$local_core" ||
            die 69 "the edge was not enrolled"
    fi
    systemctl restart chatcode-edge.service || does_not_start edge
    cli=${XDG_DATA_HOME:-$HOME/.local/share}/chatcode/cli
    if [ ! -e "$cli/identity.pem" ]; then
        [ -e "$cli" ] || on_failure "rm -rf $(quote "$cli"); rmdir $(quote "$(dirname "$cli")")"
        core_token admin | "$bin/chatcode" admin enroll --core "$local_core" --name "root@$(uname -n)" ||
            die 69 "this command line was not enrolled"
        record "cli $cli"
    fi
    [ -z "$installed" ] || return 0
    say "The page: open this once, within ten minutes"
    "$bin/chatcode" login-url --origin "$origin"
}

main() {
    arguments "$@"
    detect
    check_machine
    places
    [ -z "$server" ] || check_server
    check_places
    trap finish EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    read_token
    stage
    [ -z "$server" ] || mirror
    if [ -n "$installed" ]; then
        # Undone last: the version before runs again.
        if [ -n "$server" ]; then
            on_failure 'systemctl daemon-reload; systemctl restart chatcode-core.service chatcode-edge.service'
        elif [ "$mode" = system ]; then
            on_failure 'systemctl daemon-reload; systemctl restart chatcode-gateway.service'
        elif user_manager; then
            on_failure 'systemctl --user daemon-reload; systemctl --user restart chatcode-gateway.service'
        elif [ "$init" = launchd ]; then
            on_failure start_agent
        else
            # Asked of the version that knows it.
            running=$("$bin/chatcode-gateway" status --config "$config" 2>/dev/null | sed -n 's/.*"running":true.*"pid":\([0-9]*\).*/\1/p') || true
            [ -z "$running" ] || on_failure start_detached
        fi
    fi
    swap
    [ -e "$etc/installed" ] || on_failure "rm -f $(quote "$etc/installed")"
    record "mode $mode"
    record "$role"
    if [ -n "$server" ]; then
        server_files
        if [ -n "$start" ]; then server_start; fi
    else
        if [ "$mode" = system ]; then
            system_users
            system_files
        else
            user_files
        fi
        enroll
        if [ -n "$start" ]; then
            "${mode}_start"
            confirm
        fi
    fi
    undo=
    say "done: version $new of $role, ${mode} install"
}

# The last line, so that a script that was cut does nothing.
main "$@"
