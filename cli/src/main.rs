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
