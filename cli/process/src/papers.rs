//! What is made of a program's commands: completions, manual pages, a reference.

use std::{io, path::PathBuf};

use anyhow::Context as _;
use clap::{Arg, ArgAction, Command, Subcommand};
use clap_complete::Shell;

use crate::out;

/// The commands that print these papers.
#[derive(Debug, Subcommand)]
pub enum Papers {
    /// Print what completes the commands of this program in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the manual pages into a folder.
    #[command(hide = true)]
    Man {
        /// The folder; made when it is missing.
        folder: PathBuf,
    },
}

impl Papers {
    /// Does it, for the program with this command line.
    ///
    /// # Errors
    /// When standard output or the folder cannot be written.
    pub fn run(self, mut program: Command) -> anyhow::Result<()> {
        match self {
            Self::Completions { shell } => {
                let name = program.get_name().to_owned();
                let mut text = Vec::new();
                clap_complete::generate(shell, &mut program, name, &mut text);
                Ok(out::answer(&String::from_utf8(text)?)?)
            }
            Self::Man { folder } => {
                let write = || -> io::Result<()> {
                    std::fs::create_dir_all(&folder)?;
                    clap_mangen::generate_to(program.disable_help_subcommand(true), &folder)
                };
                write().with_context(|| format!("the manual pages cannot be written to {}", folder.display()))
            }
        }
    }
}

/// The commands of a program that do something, each with its whole name, without
/// those that are hidden.
#[must_use]
pub fn commands(program: Command) -> Vec<(String, Command)> {
    let mut found = Vec::new();
    let name = program.get_name().to_owned();
    let mut program = program.disable_help_subcommand(true);
    program.build();
    collect(&program, &name, &mut found);
    found
}

fn collect(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
    if !command.is_subcommand_required_set() {
        found.push((name.to_owned(), command.clone()));
    }
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        collect(inner, &format!("{name} {}", inner.get_name()), found);
    }
}

/// The commands that print something and know no `--json`.
#[must_use]
pub fn without_json(program: Command) -> Vec<String> {
    let knows = |command: &Command| command.get_arguments().any(|arg| arg.get_long() == Some("json"));
    commands(program).into_iter().filter(|(_, command)| !knows(command)).map(|(name, _)| name).collect()
}

/// The reference of a program's commands, in Markdown.
#[must_use]
pub fn reference(program: Command) -> String {
    let mut text = String::new();
    let everywhere: Vec<String> =
        program.get_arguments().filter(|arg| arg.is_global_set()).map(row).collect();
    if !everywhere.is_empty() {
        text.push_str(&format!(
            "Every command takes these, too:\n\n| argument | means |\n|---|---|\n{}\n",
            everywhere.concat()
        ));
    }
    for (name, command) in commands(program) {
        text.push_str(&format!("### {name}\n\n"));
        let about = command.get_long_about().or_else(|| command.get_about());
        if let Some(about) = about {
            text.push_str(&format!("{}\n\n", cell(&about.to_string())));
        }
        let shown = |arg: &&Arg| {
            !arg.is_hide_set()
                && !arg.is_global_set()
                && !["help", "version"].contains(&arg.get_id().as_str())
        };
        let rows: Vec<String> = command.get_arguments().filter(shown).map(row).collect();
        if !rows.is_empty() {
            text.push_str(&format!("| argument | means |\n|---|---|\n{}\n", rows.concat()));
        }
    }
    text
}

fn row(arg: &Arg) -> String {
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let names = arg.get_value_names().unwrap_or_default();
    let value: Vec<String> = names.iter().filter(|_| takes_value).map(|name| format!("<{name}>")).collect();
    let many = if matches!(arg.get_action(), ArgAction::Append) { "…" } else { "" };
    let flag = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let words: Vec<String> = flag.into_iter().chain(short).collect();
    let shown = [words.join(", "), format!("{}{many}", value.join(" "))];
    let shown: Vec<String> = shown.into_iter().filter(|word| !word.is_empty()).collect();
    let mut means = arg.get_help().map(|help| cell(&help.to_string())).unwrap_or_default();
    let possible: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|one| !one.is_hide_set())
        .map(|one| format!("`{}`", one.get_name()))
        .collect();
    if takes_value && !possible.is_empty() {
        means.push_str(&format!("; one of {}", possible.join(", ")));
    }
    let default: Vec<_> = arg.get_default_values().iter().map(|one| one.to_string_lossy()).collect();
    if takes_value && default.iter().any(|one| !one.is_empty()) && !arg.is_hide_default_value_set() {
        means.push_str(&format!("; else `{}`", default.join(" ")));
    }
    if arg.is_required_set() {
        means.push_str("; required");
    }
    format!("| `{}` | {means} |\n", cell(&shown.join(" ")))
}

/// A text in one line of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
