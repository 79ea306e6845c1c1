#!/bin/sh
# Takes chatcode off this machine (docs/remove.md): lists what goes, asks, tells
# the core, ends every process of ours, removes what install.sh put in place.
# Homes, workspaces and files of others stay, in our folders too. `chatcode-gateway
# uninstall` is this.
set -eu

usage() {
    cat <<'END'
Takes chatcode off this machine.

  --yes            do not ask
  --dry-run        list what would go, change nothing
  --mode system|user   which install; else system for root, user for others
  --purge-user     system: also the session user and its home, if install.sh made it
  --purge-server   the core's and the edge's data too: the installation itself
END
}

say() { printf '%s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
die() {
    code=$1
    shift
    say "cleanup.sh: $*"
    exit "$code"
}

arguments() {
    yes='' dry='' mode='' purge_user='' purge_server=''
    while [ $# -gt 0 ]; do
        case $1 in
            --help | -h) usage; exit 0 ;;
            --yes) yes=1 ;;
            --dry-run) dry=1 ;;
            --purge-user) purge_user=1 ;;
            --purge-server) purge_server=1 ;;
            --mode)
                [ $# -ge 2 ] || die 2 "--mode needs a value"
                mode=$2
                shift
                ;;
            *) die 2 "$1 is no option; --help lists them" ;;
        esac
        shift
    done
}

places() {
    uid=$(id -u)
    if [ -z "$mode" ]; then
        mode=user
        if [ "$uid" = 0 ]; then mode=system; fi
    fi
    case $mode in
        system)
            [ "$uid" = 0 ] || die 77 "a system install is removed by root; run this with sudo"
            lib=/usr/local/lib/chatcode bin=/usr/local/bin etc=/etc/chatcode units=/etc/systemd/system
            state=/var/lib/chatcode control=systemctl
            ;;
        user)
            case ${HOME:-} in /*) ;; *) die 78 "HOME is not set to a folder" ;; esac
            lib=$HOME/.local/lib/chatcode bin=$HOME/.local/bin etc=${XDG_CONFIG_HOME:-$HOME/.config}/chatcode
            if [ "$(uname -s)" = Darwin ]; then etc=$HOME/.config/chatcode; fi
            units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user state=${XDG_DATA_HOME:-$HOME/.local/share}/chatcode
            control='systemctl --user'
            ;;
        *) die 2 "--mode is system or user" ;;
    esac
    config=$etc/gateway.toml installed=$etc/installed
    agent=${HOME:-}/Library/LaunchAgents/dev.chatcode.gateway.plist logs=${HOME:-}/Library/Logs/chatcode/gateway.log
}

# The user for shells, if install.sh made it.
made_user() { sed -n 's/^user \([A-Za-z0-9_][A-Za-z0-9_.-]*\)$/\1/p' "$installed" 2>/dev/null | head -n 1; }
service_users() { sed -n 's/^service-user \(chatcode[a-z-]*\)$/\1/p' "$installed" 2>/dev/null; }

# Where the command line of a server keeps its identity, if install.sh enrolled it.
server_cli() { sed -n 's/^cli \(\/.*\)$/\1/p' "$installed" 2>/dev/null | head -n 1; }

# Our folders that are there: what each holds, and where it is. Files of ours that
# lie elsewhere are in `ours`.
folders() {
    set -- lib "$lib" gateway "$state/gateway" sessions "$state/sessions"
    if [ "$mode" = system ]; then set -- "$@" run /run/chatcode; else set -- "$@" sessions "$HOME/.chatcode/sessions"; fi
    if [ -n "$purge_server" ]; then
        set -- "$@" core /var/lib/chatcode-core edge /var/lib/chatcode-edge
        cli=$(server_cli)
        if [ -n "$cli" ]; then set -- "$@" cli "$cli"; fi
    fi
    while [ $# -gt 0 ]; do
        if [ -d "$2" ]; then printf '%s %s\n' "$1" "$2"; fi
        shift 2
    done
}

# mine KIND NAME: whether a folder of this kind has this of ours; NAME begins there.
mine() {
    case $2 in
        # Being written when the machine lost its power.
        *.*.new) mine "$1" "${2%.*.new}" && return ;;
    esac
    case $1 in
        lib) mine_of_versions "${2#server/}" ;;
        gateway)
            case $2 in
                identity.new | identity.old | update | sessions | enrolling.pem | lock | state.json | state.lock | update.pb) ;;
                update/manifest | update/manifest.sig | update/archive) ;;
                identity.*/*) mine identity "${2#*/}" ;;
                sessions/*) mine sessions "${2#*/}" ;;
                *) mine edge "$2" ;;
            esac
            ;;
        edge) case $2 in identity) ;; identity/*) mine identity "${2#*/}" ;; *) return 1 ;; esac ;;
        identity | cli) case $2 in identity.pem | roots.pem | machine.key | core.json) ;; *) return 1 ;; esac ;;
        sessions)
            case $2 in
                ????????-????-????-????-????????????) ;;
                ????????-????-????-????-????????????/*)
                    case ${2#*/} in holder.sock | holder.log | record.pb | spec.pb | screen.pb) ;; *) return 1 ;; esac
                    ;;
                *) return 1 ;;
            esac
            ;;
        core)
            case $2 in
                core.db | core.db-wal | core.db-shm | core.db-journal | core.db.schema-* | .backup-*.db | lock | ca | link.keys | .*.restoring | .*.restoring/*) ;;
                ca/*/*) return 1 ;;
                audit | audit/head.key | audit/audit-*.jsonl | ca/*.key | ca/*.pem | ca/installation | ca/state.pb | link.keys/reset.key | link.keys/connection-id.key) ;;
                *) mine edge "$2" ;;
            esac
            ;;
        run) case $2 in spawner.sock | updater.sock) ;; *) return 1 ;; esac ;;
        *) return 1 ;;
    esac
}

mine_of_versions() {
    case $1 in
        server | current | previous | next | current.new | previous.new | .lock | release | .staging | .incoming | .staged.*) ;;
        # What an installation or an update was putting together.
        .staging/* | .incoming/*) ;;
        release/*)
            case ${1#release/} in manifest | manifest.sig | manifest.sshsig | install.sh | cleanup.sh | SHA256SUMS | chatcode-*.tar.gz | chatcode-*.json) ;; *) return 1 ;; esac
            ;;
        [0-9]*.[0-9]*.[0-9]*/*)
            case ${1#*/} in
                .archive | cleanup.sh | chatcode | chatcode-core | chatcode-edge | chatcode-gateway | chatcode-holder | chatcode-spawner) ;;
                systemd | systemd/system | systemd/user | launchd | parts) ;;
                systemd/*/chatcode*.service | systemd/*/chatcode*.socket | systemd/*/chatcode.sysusers | launchd/dev.chatcode.*.plist | parts/chatcode*.json) ;;
                *) return 1 ;;
            esac
            ;;
        [0-9]*.[0-9]*.[0-9]*) ;;
        *) return 1 ;;
    esac
}

# each_of KIND FOLDER BELOW DO: for what a folder of ours holds, folders after what is
# in them: `DO ours|foreign PATH`. Into folders of others, and by links, it goes nowhere.
each_of() (
    for each in "$2"/* "$2"/.[!.]* "$2"/..?*; do
        if [ ! -e "$each" ] && [ ! -L "$each" ]; then continue; fi
        if ! mine "$1" "$3${each##*/}"; then
            "$4" foreign "$each"
            continue
        fi
        if [ -d "$each" ] && [ ! -L "$each" ]; then each_of "$1" "$each" "$3${each##*/}/" "$4"; fi
        "$4" ours "$each"
    done
)

# A name may hold what steers a terminal.
# shellcheck disable=SC2317 # called by its name
tell_foreign() {
    if [ "$1" = foreign ]; then
        printf '%s' "$2" | tr '[:cntrl:]' '?'
        echo
    fi
}
# shellcheck disable=SC2317 # called by its name
take_away() {
    [ "$1" = ours ] || return 0
    if [ -d "$2" ] && [ ! -L "$2" ]; then rmdir "$2" 2>/dev/null || true; else rm -f "$2"; fi
}
# shellcheck disable=SC2317 # called by its name
tell_ours() { if [ "$1" = ours ]; then echo ours; fi; }
# Others may have left something in one before.
folders_with_ours() {
    folders | while read -r kind folder; do
        if [ -n "$(each_of "$kind" "$folder" '' tell_ours)" ]; then printf '%s\n' "$folder"; fi
    done
}
foreign() {
    folders | while read -r kind folder; do each_of "$kind" "$folder" '' tell_foreign; done
    # What somebody added to our units.
    for each in "$units"/chatcode-*.d/*; do
        case $each in */chatcode-edge.service.d/tls.conf | */chatcode-edge.service.d/port.conf) continue ;; esac
        if [ -e "$each" ]; then tell_foreign foreign "$each"; fi
    done
}

# Files of ours that are there, a line each. Links only if they lead to our programs.
ours() {
    for each in chatcode-gateway chatcode-holder chatcode-spawner chatcode chatcode-core chatcode-edge; do
        case $(readlink "$bin/$each" 2>/dev/null || true) in "$lib"/*) printf '%s\n' "$bin/$each" ;; esac
    done
    for each in "$units"/chatcode-gateway.service "$units"/chatcode-spawner.socket "$units"/chatcode-spawner@.service \
        "$units"/chatcode-core.service "$units"/chatcode-edge.service "$units"/chatcode-edge.service.d/tls.conf \
        "$units"/chatcode-edge.service.d/port.conf "$units"/chatcode-updater.socket "$units"/chatcode-updater@.service "$etc"/gateway.toml "$etc"/gateway.toml.new \
        "$etc"/gateway.proxy "$etc"/gateway.proxy.new "$etc"/spawner "$etc"/core.toml \
        "$etc"/edge.toml "$installed" "$state"/gateway.log; do
        if [ -e "$each" ]; then printf '%s\n' "$each"; fi
    done
    if [ "$mode" = system ]; then
        for each in /etc/sudoers.d/chatcode /var/log/chatcode-sudo.log; do
            if [ -e "$each" ]; then printf '%s\n' "$each"; fi
        done
    else
        for each in "$agent" "$logs"; do
            if [ -e "$each" ]; then printf '%s\n' "$each"; fi
        done
    fi
}

# Processes that run a program of this install, also one that was replaced.
processes() {
    if [ -d /proc/self ]; then
        for each in /proc/[0-9]*; do
            case $(readlink "$each/exe" 2>/dev/null || true) in
                "$lib"/*/chatcode-* | "$lib"/*/chatcode-*' (deleted)') printf '%s\n' "${each#/proc/}" ;;
            esac
        done
    else
        ps -A -o pid=,comm= | while read -r pid program; do
            case $program in "$lib"/*/chatcode-* | "$bin"/chatcode-*) printf '%s\n' "$pid" ;; esac
        done
    fi
}

list() {
    found=$(ours && folders_with_ours)
    if [ -z "$found" ]; then
        say "chatcode is not installed here ($mode install)"
        return 1
    fi
    say "This goes from this machine:"
    say "$(printf '%s\n' "$found" | sed 's/^/  /')"
    say "  every session of chatcode that runs here, and its daemon"
    for each in $(service_users); do
        if [ -n "$purge_server" ] || [ "$each" = chatcode ]; then say "  the user $each"; fi
    done
    made=$(made_user)
    if [ -n "$purge_user" ]; then
        [ -n "$made" ] || die 1 "--purge-user: install.sh made no user here, so none is removed"
        say "  THE USER $made WITH ALL FILES OF ITS HOME $(home_of "$made")"
    else
        say "Homes, workspaces and all other files stay${made:+, also of the user $made}."
    fi
    others=$(foreign)
    if [ -n "$others" ]; then
        say "Not ours, and stays with the folders that it is in:"
        say "$(printf '%s\n' "$others" | sed 's/^/  /')"
    fi
    if [ -z "$purge_server" ] && [ -e /var/lib/chatcode-core ] && [ "$mode" = system ]; then
        say "The core's data in /var/lib/chatcode-core stays; --purge-server removes it."
    fi
}

home_of() { awk -F: -v name="$1" '$1 == name { print $6 }' /etc/passwd; }

ask() {
    [ -z "$yes" ] || return 0
    (: </dev/tty) 2>/dev/null || die 2 "there is no terminal to ask on; say --yes"
    printf 'Type yes to go on: ' >/dev/tty
    IFS= read -r answer </dev/tty || true
    [ "$answer" = yes ] || die 1 "nothing was removed"
}

# The daemon first, so that nothing starts anew; then the sessions; then what is left.
stop() {
    if $control show-environment >/dev/null 2>&1; then
        for each in chatcode-edge.service chatcode-core.service chatcode-gateway.service \
            chatcode-spawner.socket chatcode-updater.socket; do
            if [ -e "$units/$each" ]; then $control --quiet disable --now "$each" || true; fi
        done
        $control stop 'chatcode-spawner@*.service' 'chatcode-session-*.service' 'chatcode-update*' chatcode-sessions.slice chatcode.slice 2>/dev/null || true
    fi
    if [ -e "$agent" ] && has launchctl; then launchctl bootout "gui/$uid/dev.chatcode.gateway" 2>/dev/null || true; fi
    tries=0
    signal=TERM
    while running=$(processes) && [ -n "$running" ] && [ "$tries" -lt 100 ]; do
        # Holders tell their shells to go before they do; who has not gone then is killed.
        if [ "$tries" = 80 ]; then signal=KILL; fi
        # shellcheck disable=SC2086 # several numbers
        if [ "$tries" = 0 ] || [ "$tries" = 80 ]; then kill -s "$signal" $running 2>/dev/null || true; fi
        tries=$((tries + 1))
        sleep 0.1
    done
    [ -z "$running" ] || die 1 "processes of chatcode do not end: $running; nothing was removed"
}

# Best effort, for ten seconds: the core may be gone.
tell() {
    [ -e "$state/gateway/identity/identity.pem" ] && [ -x "$bin/chatcode-gateway" ] || return 0
    say "telling the core"
    set -- "$bin/chatcode-gateway" leave --config "$config"
    if [ "$mode" = system ]; then
        if has runuser; then set -- runuser -u chatcode -- "$@"; else set -- setpriv --reuid chatcode --regid chatcode --clear-groups -- "$@"; fi
    fi
    "$@" || say "The core was not told; this machine is removed all the same."
}

remove() {
    users=$(service_users)
    made=$(made_user)
    cli=$(server_cli)
    left=$(foreign)
    ours_folders=$(folders)
    while IFS= read -r each; do
        rm -f "$each"
    done <<END
$(ours)
END
    while read -r kind folder; do
        each_of "$kind" "$folder" '' take_away
        rmdir "$folder" 2>/dev/null || true
    done <<END
$ours_folders
END
    for each in "$units/chatcode-edge.service.d" "$etc" "$state" "${logs%/*}" "${HOME:-}/.chatcode"; do rmdir "$each" 2>/dev/null || true; done
    if [ -n "$purge_server" ] && [ -n "$cli" ]; then rmdir "$(dirname "$cli")" 2>/dev/null || true; fi
    if $control show-environment >/dev/null 2>&1; then
        $control daemon-reload
        $control reset-failed 'chatcode-*' 2>/dev/null || true
    fi
    [ "$mode" = system ] || return 0
    for each in $users; do
        case $each in chatcode) ;; *) [ -n "$purge_server" ] || continue ;; esac
        userdel "$each" 2>/dev/null || true
    done
    if [ -n "$purge_user" ]; then
        if has loginctl; then loginctl terminate-user "$made" 2>/dev/null || true; fi
        # That it had no mail is no news.
        userdel --remove "$made" 2>&1 | sed '/mail spool/d' >&2
        if id "$made" >/dev/null 2>&1; then die 1 "the user $made could not be removed; processes of it may run yet: userdel --remove $made"; fi
    fi
}

main() {
    arguments "$@"
    places
    list || exit 0
    [ -z "$dry" ] || exit 0
    ask
    say "ending the daemon and its sessions"
    stop
    tell
    say "removing"
    remove
    if [ -n "$left" ]; then say "Files of others stay: $(printf '%s' "$left" | tr '\n' ' ')"; fi
    for each in "$etc" "$state"; do
        case $left in *"$each/"*) continue ;; esac
        if [ -e "$each" ]; then say "Files of others stay in $each"; fi
    done
    say "chatcode is gone from this machine"
}

# Read whole before it begins, as it removes itself.
main "$@"
exit
