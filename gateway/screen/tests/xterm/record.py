#!/usr/bin/env python3
"""Records what programs write to a terminal of 80 columns and 24 rows, for the differential test.

Run it from anywhere, as root, with vim, htop, tmux and less installed; a name records that one only:

    python3 gateway/screen/tests/xterm/record.py [vim|htop|tmux|less|agent|ls|emoji]

Keys are sent when the program has been silent for a moment. The recordings go to tests/recordings
as raw bytes and are committed, so that the test needs none of the programs.
"""

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORDINGS = HERE.parent / "recordings"
SOURCES = HERE.parents[1] / "src"
ROWS, COLS = 24, 80
SILENCE = 0.35
LONGEST = 40.0
LARGEST = 300_000

# Where the other processes and the name of this machine are not seen; as root.
APART = ["unshare", "--fork", "--pid", "--mount-proc", "--uts", "--kill-child", "sh", "-c"]
APART_START = "hostname box; cd; "

# The command and the keys that are sent, one after the other.
PROGRAMS = {
    "vim": (
        ["vim", "-u", "DEFAULTS", "-N", "-n", "-c", "set number hlsearch", "parser.rs"],
        ["\x06", "\x06", "/fn \r", "n", "n", "O// a new line: äöü 日本\x1b", "dd", "p", "V5j", ">", "u", ":vsplit\r",
         "\x17w", "G", "gg", ":set list\r", "ihello\x1b", "u", ":help motion\r", "\x04", ":qa!\r"],
    ),
    "htop": ([*APART, APART_START + "sleep 100 & seq 1e9 >/dev/null & sh -c 'sleep 99; :' & exec htop -d 4"], ["", "", "t", "", "\x1bOB\x1bOB", "/sh", "\x1b", "I", "", "q"]),
    "tmux": (
        [*APART, APART_START + "exec tmux -L recording -f /dev/null new-session -s recording sh"],
        ["ls --color\r", "\x02%", "seq 40\r", "\x02\"", "printf '\\033[31mred \\033[4mline\\033[0m\\n'\r", "\x02o",
         "\x02[", "\x1b[5~", "q", "\x02z", "\x02z", "\x02c", "echo 'zwei 二'\r", "\x02n", "\x02:kill-server\r"],
    ),
    "less": (["less", "-N", "parser.rs"], [" ", " ", "/state\r", "n", "b", "G", "g", "-S\r", "q"]),
    "agent": (["node", str(HERE / "agent.mjs")], []),
    "ls": (["ls", "--color=always", "-RC", "--width=80", "/usr/share/vim"], []),
    "emoji": (["node", str(HERE / "emoji.mjs")], []),
}


def record(name: str) -> bytes:
    command, keys = PROGRAMS[name]
    with tempfile.TemporaryDirectory() as home:
        shutil.copy(SOURCES / "parser.rs", home)
        child, master = pty.fork()
        if child == 0:
            os.chdir(home)
            environment = {"PATH": os.environ["PATH"], "HOME": home, "TERM": "xterm-256color", "LANG": "C.UTF-8",
                           "COLORTERM": "truecolor", "PS1": "$ ", "SHELL": "/bin/sh", "TMUX_TMPDIR": home}
            os.execvpe(command[0], command, environment)
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLS, 0, 0))
        try:
            return read_all(master, keys)
        finally:
            os.close(master)
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.waitpid(child, 0)


def read_all(master: int, keys: list[str]) -> bytes:
    output = bytearray()
    left = list(keys)
    until = time.monotonic() + LONGEST
    while time.monotonic() < until and len(output) < LARGEST:
        ready, _, _ = select.select([master], [], [], SILENCE)
        if ready:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            output += data
        elif left:
            os.write(master, left.pop(0).encode())
    return bytes(output[:LARGEST])


def main() -> None:
    RECORDINGS.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PROGRAMS:
        data = record(name)
        (RECORDINGS / name).write_bytes(data)
        print(f"{name}: {len(data)} bytes")


main()
