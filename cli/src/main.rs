//! `chatcode`: everything on this machine with one command, and sessions on any
//! machine from a terminal.

mod addresses;
mod admin;
mod api_tokens;
mod attach;
mod audit;
mod backup;
mod ca;
mod client;
mod context;
mod credentials;
mod drain;
mod end;
mod events;
mod fleet;
mod follow;
mod gateway;
mod home;
mod line;
mod login;
mod login_url;
mod ls;
mod members;
mod moment;
mod names;
mod new;
mod pending;
mod people;
mod print;
mod roles;
mod shares;
mod status;
mod table;
mod teams;
mod tokens;
mod up;
mod update;

use std::{path::PathBuf, process::ExitCode};

use chatcode_process::papers::Papers;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::{admin::Admin, context::Contexts, home::Home};

/// Open a terminal on any machine you own, and never lose it again.
#[derive(Debug, Parser)]
#[command(name = "chatcode", version)]
struct Arguments {
    /// Where all files are; usually ~/.local/share/chatcode.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Act by this login (`chatcode context list`); local: by the administrator's
    /// certificate of this machine.
    #[arg(long, global = true, value_name = "NAME", env = "CHATCODE_CONTEXT")]
    context: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Login(login::Login),
    Logout(context::order::Logout),
    #[command(name = "whoami")]
    WhoAmI(context::order::WhoAmI),
    #[command(subcommand)]
    Context(context::order::Order),
    LoginUrl(login_url::LoginUrl),
    Ls(ls::Ls),
    New(new::New),
    Attach(attach::Attach),
    End(end::End),
    Rename(end::Rename),
    #[command(subcommand)]
    Shares(shares::Shares),
    #[command(subcommand)]
    Gateway(gateway::Gateway),
    #[command(subcommand)]
    Admin(Admin),
    Audit(audit::Audit),
    Events(events::Events),
    #[command(flatten)]
    Papers(Papers),
}

fn main() -> ExitCode {
    let Arguments { data_dir, context, command } = Arguments::parse();
    let home = Home::new(data_dir, context, Contexts::of_person());
    chatcode_certs::tls::install_provider();
    chatcode_process::init_logging("cli");
    chatcode_process::main_with("chatcode", chatcode_process::Threads::One, async move {
        // `up` does so when its core runs, `enroll` makes a new one; a backup asks no core.
        let needs_none = match &command {
            Command::Up(_)
            | Command::Login(_)
            | Command::Context(_)
            | Command::Papers(_)
            | Command::Admin(Admin::Enroll { .. } | Admin::Backup(_) | Admin::Restore(_)) => true,
            Command::Audit(command) => command.is_offline(),
            _ => false,
        };
        if !needs_none {
            credentials::refresh(&home).await;
        }
        match command {
            Command::Up(command) => command.run(home.data_dir()).await,
            Command::Login(command) => Box::pin(command.run(&home)).await,
            Command::Logout(command) => command.run(&home).await,
            Command::WhoAmI(command) => command.run(&home).await,
            Command::Context(command) => command.run(&home),
            Command::LoginUrl(command) => command.run(&home).await,
            Command::Ls(command) => command.run(&home).await,
            Command::New(command) => command.run(&home).await,
            Command::Attach(command) => command.run(&home).await,
            Command::End(command) => command.run(&home).await,
            Command::Rename(command) => command.run(&home).await,
            Command::Shares(command) => command.run(&home).await,
            Command::Gateway(command) => command.run(&home).await,
            Command::Admin(command) => command.run(&home).await,
            Command::Audit(command) => command.run(&home).await,
            Command::Events(command) => Box::pin(command.run(&home)).await,
            Command::Papers(papers) => papers.run(Arguments::command()),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chatcode_process::{config::page, papers};

    use super::*;

    #[test]
    fn every_command_that_prints_something_does_so_as_json_too() {
        // A terminal is no text; an export is JSON, always; completions are for a shell.
        let others = ["chatcode attach", "chatcode audit export", "chatcode completions"];
        assert_eq!(papers::without_json(Arguments::command()), others);
    }

    #[test]
    fn the_reference_of_the_commands_is_as_the_program_is() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli-reference.md");
        page::keep_section(&file, "chatcode", &papers::reference(Arguments::command())).expect("is kept");
    }
}

/// `just fuzz arguments`.
#[cfg(test)]
mod fuzz {
    use chatcode_fuzz::{Target, lines, sight};
    use clap::{CommandFactory as _, error::ErrorKind};

    use super::*;

    const TARGET: Target = Target { name: "arguments", words: WORDS, usual: 2_000, case };
    const WORDS: &[&[u8]] = &[
        b"\n",
        b"\n--",
        b"\n--data-dir\n/tmp",
        b"\n--context\nlocal",
        b"\n--help",
        b"\n--version",
        b"up",
        b"login",
        b"ls",
        b"new",
        b"attach",
        b"end",
        b"rename",
        b"shares",
        b"gateway",
        b"admin",
        b"audit",
        b"events",
        b"context",
        b"\ntoken",
        b"\ncreate",
        b"\nlist",
        b"\nca",
        b"\n--label\nsite=attic",
        b"\n--since\n2h",
        b"\n--since\n2026-11-27T09:30",
        b"\n--since\n2026-11-99999999999999999999",
        b"\n--ttl\n15m",
        b"\n--ttl\n4294967295d",
        b"\n--line\nhttps://code.example.org",
        b"=",
        b"-",
        b"18446744073709551615",
        b"\x1b[2J",
        b"\xc3\xa9",
    ];

    #[test]
    fn any_arguments_are_an_order_or_refused_with_the_exit_code_of_usage() {
        Arguments::command().debug_assert();
        chatcode_fuzz::run(&TARGET, Vec::new());
    }

    /// Each line is an argument.
    fn case(input: &[u8]) -> Vec<u64> {
        let arguments = lines(input);
        let mut sights: Vec<u64> = arguments.iter().map(|text| sight(moment_of(text))).collect();
        let parsed = Arguments::try_parse_from([&["chatcode".to_owned()], arguments.as_slice()].concat());
        sights.push(match parsed {
            Ok(Arguments { command, .. }) => {
                let shown = format!("{command:?}");
                sight(shown.split(|c: char| !c.is_alphanumeric()).take(3).collect::<Vec<_>>())
            }
            Err(error) => {
                let is_asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
                let code = if is_asked { 0 } else { i32::from(chatcode_process::exit::USAGE) };
                assert_eq!(error.exit_code(), code, "another exit code: see");
                assert!(!error.to_string().trim().is_empty(), "refused without a word");
                sight((error.kind() as u8, error.context().count()))
            }
        });
        sights
    }

    /// Moments are read later than the line is parsed.
    fn moment_of(text: &str) -> bool {
        let now = 1_800_000_000_000;
        let Ok(moment) = moment::unix_ms(text, now) else { return false };
        let shown = moment::shown(moment).replace(' ', "T");
        assert_eq!(
            moment::unix_ms(&shown, now),
            Ok(moment / 1000 * 1000),
            "a moment is shown as another: see"
        );
        true
    }
}
