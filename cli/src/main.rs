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
mod credentials;
mod end;
mod fleet;
mod gateway;
mod line;
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
mod table;
mod teams;
mod tokens;
mod up;
mod update;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::admin::Admin;

/// Open a terminal on any machine you own, and never lose it again.
#[derive(Debug, Parser)]
#[command(name = "chatcode", version)]
struct Arguments {
    /// Where all files are; usually ~/.local/share/chatcode.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    LoginUrl(login_url::LoginUrl),
    Ls(ls::Ls),
    New(new::New),
    Attach(attach::Attach),
    End(end::End),
    Rename(end::Rename),
    #[command(subcommand)]
    Gateway(gateway::Gateway),
    #[command(subcommand)]
    Admin(Admin),
    Audit(audit::Audit),
}

fn main() -> ExitCode {
    let Arguments { data_dir, command } = Arguments::parse();
    let data_dir = data_dir.unwrap_or_else(chatcode_process::default_data_dir);
    chatcode_certs::tls::install_provider();
    chatcode_process::init_logging("cli");
    chatcode_process::main_with("chatcode", chatcode_process::Threads::One, async move {
        // `up` does so when its core runs, `enroll` makes a new one; a backup asks no core.
        let needs_none = match &command {
            Command::Up(_) | Command::Admin(Admin::Enroll { .. } | Admin::Backup(_) | Admin::Restore(_)) => {
                true
            }
            Command::Audit(command) => command.is_offline(),
            _ => false,
        };
        if !needs_none {
            credentials::refresh(&data_dir.join("cli")).await;
        }
        match command {
            Command::Up(command) => command.run(&data_dir).await,
            Command::LoginUrl(command) => command.run(&data_dir).await,
            Command::Ls(command) => command.run(&data_dir).await,
            Command::New(command) => command.run(&data_dir).await,
            Command::Attach(command) => command.run(&data_dir).await,
            Command::End(command) => command.run(&data_dir).await,
            Command::Rename(command) => command.run(&data_dir).await,
            Command::Gateway(command) => command.run(&data_dir).await,
            Command::Admin(command) => command.run(&data_dir).await,
            Command::Audit(command) => command.run(&data_dir).await,
        }
    })
}
