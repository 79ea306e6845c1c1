//! `chatcode-spawner`: the only part of chatcode with root, in a system install
//! on a machine with systemd.

#[cfg(target_os = "linux")]
mod spawner;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    spawner::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    use std::io::Write as _;

    let _ = writeln!(std::io::stderr(), "chatcode-spawner is for machines with systemd");
    std::process::ExitCode::FAILURE
}
