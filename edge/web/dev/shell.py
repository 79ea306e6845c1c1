"""A shell in a PTY for the mock: frames on stdin (kind, length, data), output on stdout."""

import fcntl, os, pty, select, struct, sys, termios

rows, cols, folder, *command = sys.argv[1:]
pid, master = pty.fork()
if pid == 0:
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    os.environ["TERM"] = "xterm-256color"
    os.execvp(command[0], command)


def resize(r, c):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", r, c, 0, 0))


resize(int(rows), int(cols))
pending = b""
while True:
    ready, _, _ = select.select([0, master], [], [])
    if master in ready:
        try:
            data = os.read(master, 65536)
        except OSError:
            data = b""
        if not data:
            break
        os.write(1, data)
    if 0 in ready:
        data = os.read(0, 65536)
        if not data:
            os.kill(pid, 1)
            break
        pending += data
        while len(pending) >= 5:
            kind, length = pending[:1], struct.unpack(">I", pending[1:5])[0]
            if len(pending) < 5 + length:
                break
            body, pending = pending[5 : 5 + length], pending[5 + length :]
            if kind == b"i":
                os.write(master, body)
            elif kind == b"r":
                resize(*struct.unpack(">HH", body))
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
