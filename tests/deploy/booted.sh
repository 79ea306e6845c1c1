# A fresh Debian with its own systemd, booted in a container with a network of its own
# to core and edge; read by `.` after lib.sh. Its system is made once, in
# $CHATCODE_TEST_CACHE (else ~/.cache/chatcode-test).
# shellcheck shell=sh disable=SC2154,SC2034,SC2086,SC2015,SC2016

suite=${CHATCODE_SYSTEMD_SUITE:-bookworm}
cache=${CHATCODE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chatcode-test}
base=$cache/debian-$suite.2
name=cc$$
address=10.99.0.1 host=code.test
machine_pid='' core_pid='' edge_pid='' attacker_pid='' proxy_pid='' nspawn_pid=''

leave() {
    status=$?
    trap - EXIT
    for each in "$edge_pid" "$core_pid" "$attacker_pid" "$proxy_pid"; do [ -z "$each" ] || end "$each"; done
    [ -z "$nspawn_pid" ] || power_off
    ip netns delete "$name" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}

make_base() {
    needs debootstrap debootstrap
    mkdir -p "$cache"
    rm -rf "$base.part"
    debootstrap --variant=minbase \
        --include=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,curl,openssl,openssh-client,iproute2,sudo,sqlite3 \
        "$suite" "$base.part" >"$base.log" || fail "debootstrap failed, see $base.log"
    rm -rf "$base.part"/var/cache/apt/archives/*.deb "$base.part"/var/lib/apt/lists/*
    mv "$base.part" "$base"
}

prepare() {
    cp -a --reflink=auto "$base" "$work/root"
    printf '127.0.0.1 localhost\n%s %s\n' "$address" "$host" >"$work/root/etc/hosts"
    cat >"$work/root/etc/systemd/system/test-network.service" <<END
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip address add 10.99.0.2/24 dev host0
ExecStart=/usr/sbin/ip link set host0 up
END
    mkdir -p "$work/root/etc/systemd/system/sysinit.target.wants"
    ln -s ../test-network.service "$work/root/etc/systemd/system/sysinit.target.wants/test-network.service"
    ip netns add "$name"
    network=/run/netns/$name
    inside ip link set lo up
}

boot() {
    exec_inside systemd-nspawn --quiet --directory="$work/root" --boot --network-veth --register=no --keep-unit \
        --machine="$name" --link-journal=no --console=pipe </dev/null >"$work/console" 2>&1 &
    nspawn_pid=$!
    until_true 20 inside ip link show "ve-$name" || fail "the machine has no network"
    inside ip address add "$address/24" dev "ve-$name"
    inside ip link set "ve-$name" up
    until_true 60 is_up || fail "the machine does not come up"
}

is_up() {
    machine_pid=$(pgrep -P "$nspawn_pid" | head -n 1)
    [ -n "$machine_pid" ] && [ "$(m systemctl is-active multi-user.target)" = active ]
}

power_off() {
    # The container's own signal to shut down; a second one ends it at once.
    timeout 5 nsenter -t "$machine_pid" -m -u -i -n -p -- systemctl --no-block poweroff >/dev/null 2>&1 || kill "$nspawn_pid"
    (sleep 30 && kill -KILL "$nspawn_pid") 2>/dev/null &
    guard=$!
    wait "$nspawn_pid" 2>/dev/null || true
    kill "$guard" 2>/dev/null || true
    nspawn_pid=
}

# m COMMAND...: on the machine, as root.
m() {
    nsenter -t "$machine_pid" -m -u -i -n -p -- \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C "$@"
}

new_token() {
    made=$(cli gateway token --name "$1" 2>"$work/said") || fail "no token"
    printf '%s\n' "$made" | m sh -c 'umask 077 && cat >/tmp/token && chmod 644 /tmp/token'
}

# typed SESSION COMMAND: types it, and leaves when the file that it makes is there.
typed() {
    mkfifo "$work/keys"
    network_of=${network:+nsenter --net=$network}
    TERM=xterm-256color script -qec "$network_of $programs/chatcode --data-dir $work/cli attach $1" /dev/null \
        <"$work/keys" >"$work/attach.log" 2>&1 &
    attached=$!
    exec 3>"$work/keys"
    printf '%s\r' "$2" >&3
    until_true 20 m test -e "$3" || fail "what was typed into $1 did not happen"
    printf '\r~.' >&3
    exec 3>&-
    wait "$attached" || true
    rm "$work/keys"
}

# What a removal has to leave as it was.
sums() {
    m sh -c "find /etc /usr /opt /srv /home /root /var/lib -xdev -type f ! -path '/home/vibe/*' ! -path '/root/.*' \
        ! -path /home/bob/.bash_history ! -path '/var/lib/systemd/*' ! -name '*passwd*' ! -name '*group*' ! -name '*shadow*' ! -name 'sub[ug]id*' ! -name .updated \
        -exec sha256sum {} + | sort -k 2"
}
leftovers() { m find / -xdev ! -path '/proc/*' ! -path '/sys/*' ! -path '/tmp/*' \( -name '*chatcode*' -o -nouser -o -nogroup \); }

gone() {
    sums >"$work/after"
    cmp -s "$work/before" "$work/after" || { diff "$work/before" "$work/after" >"$work/said" || true; fail "$1: files differ"; }
    leftovers >"$work/said"
    [ ! -s "$work/said" ] || fail "$1: something of ours is left"
    m sh -c 'for each in /proc/[0-9]*; do readlink $each/exe; done' 2>/dev/null | grep chatcode && fail "$1: a process runs"
    m systemctl list-unit-files --no-legend 'chatcode*' | grep . && fail "$1: a unit is left"
    m id chatcode >/dev/null 2>&1 && fail "$1: the user is left"
    ok "$1"
}

boot_id() { m cat /proc/sys/kernel/random/boot_id; }
# state_of SESSION: in words.
state_of() { cli ls --json | sed -n "s/.*\"name\":\"$1\",\"state\":\"\([^\"]*\)\".*/\1/p"; }
is_session() { [ "$(state_of "$1")" = "$2" ]; }
pid_of_session() { m systemctl show --property=MainPID --value "chatcode-session-$1*"; }

# newer VERSION [PROGRAM DOES]: a signed release of it on the machine. Its programs are
# those that were built, with this version in the place of theirs; this one does this.
newer() {
    rm -rf "$work/newer.programs" "$work/newer" "$work/root/srv/release/stable"
    mkdir -p "$work/newer.programs" "$work/root/srv/release"
    for each in chatcode chatcode-core chatcode-edge chatcode-gateway chatcode-holder chatcode-spawner; do
        case $each in
            chatcode-core | chatcode-edge | chatcode-gateway) LC_ALL=C sed "s/0[.]1[.]0/$1/g" "$programs/$each" >"$work/newer.programs/$each" ;;
            *) cp "$programs/$each" "$work/newer.programs/$each" ;;
        esac
        chmod 755 "$work/newer.programs/$each"
    done
    if [ $# = 3 ]; then
        printf '#!/bin/sh\nif [ "$1" = --version ]; then echo %s %s; exit; fi\n%s\n' "$2" "$1" "$3" >"$work/newer.programs/$2"
    fi
    CHATCODE_TEST_PROGRAMS=$work/newer.programs "$root_of_tree/tests/deploy/release.sh" "$work/newer" "$1" "$work/release.key"
    mv "$work/newer" "$work/root/srv/release/stable"
}

# begin: boots it, with an installation beside it, and notes what is on it.
begin() {
    [ "$(id -u)" = 0 ] || { skip machine "a fresh machine: it is booted by root"; exit 0; }
    ip netns add "$name.try" 2>/dev/null && ip netns delete "$name.try" ||
        { skip machine "a fresh machine: this one gives no networks of one's own"; exit 0; }
    needs systemd-nspawn systemd-container
    trap leave EXIT
    trap 'exit 130' INT TERM
    [ -e "$base" ] || make_base
    make_release
    prepare
    boot
    serve "$network" "$address" "$host"
    m useradd --create-home --shell /bin/bash bob
    m sh -c 'echo bob >/home/bob/who && chown bob: /home/bob/who'
    sums >"$work/before"
}
