//! `chatcode attach`: a session in this terminal. It comes back by itself after
//! any break, with every byte once, until the person leaves or the session is over.

mod connection;
mod escape;
mod filter;
mod keyboard;
mod next_life;
mod notice;
mod screen;
mod signals;
mod terminal;
mod view;

use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    backoff::Backoff,
    code::Refusal,
    limits,
    pb::{self, Code, Role},
};
pub(crate) use terminal::winsize;
use tokio::time::{Instant, MissedTickBehavior};

use self::{
    connection::Outcome,
    view::{End, View},
};
use crate::{
    client::{Client, refused},
    fleet::{Fleet, exit_words},
    home::Home,
    print::{say, shown},
};

/// Tries that keys ask for are at least this far apart.
const HURRY: std::time::Duration = std::time::Duration::from_secs(1);

/// Attach this terminal to a session. Enter ~ . leaves, Enter ~ ? helps.
#[derive(Debug, clap::Args)]
pub(crate) struct Attach {
    /// The session, by name or id.
    session: String,
    /// Its machine, by name or id; left out: any.
    #[arg(long, short, value_name = "MACHINE")]
    gateway: Option<String>,
    /// Look, and do not type.
    #[arg(long, short)]
    read_only: bool,
    /// Let programs write this terminal's clipboard (OSC 52).
    #[arg(long)]
    clipboard: bool,
}

/// The session that is attached to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The id of its machine.
    pub(crate) gateway: String,
    /// Its id.
    pub(crate) session: String,
    /// Its name.
    pub(crate) name: String,
}

impl Attach {
    /// Attaches until the person leaves or the shell ends.
    ///
    /// # Errors
    /// When the session is not known, or attaching is refused; when the shell
    /// failed, with its exit code.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        let client = home.client()?;
        let fleet = Fleet::ask(&client).await?;
        let (gateway, session) = fleet.session(&self.session, self.gateway.as_deref())?;
        let target =
            Target { gateway: gateway.clone(), session: session.id.clone(), name: session.name.clone() };
        let role = if self.read_only { Role::Viewer } else { Role::Writer };
        attach(&client, target, role, self.clipboard).await
    }
}

/// Attaches this terminal to a session until the person leaves or the shell
/// ends. `clipboard`: programs may write that of the terminal.
///
/// # Errors
/// When this is no terminal, when attaching is refused, and when the shell
/// failed, with its exit code.
pub(crate) async fn attach(
    client: &Client,
    target: Target,
    role: Role,
    clipboard: bool,
) -> anyhow::Result<()> {
    if !terminal::is_interactive() {
        return Err(anyhow::anyhow!("attach needs a terminal on standard input and output")
            .context(Exit(exit::USAGE)));
    }
    let mut view = View::open(&target, role, clipboard)?;
    let end = stay(client, &mut view).await;
    let (name, state) = (shown(view.name()), view.state_words());
    // The terminal is as it was from here on.
    drop(view);
    match end {
        End::Left => {
            let id: String = target.session.chars().take(8).collect();
            say(&format!("\nchatcode: left {name}; it goes on, `chatcode attach {}` comes back", shown(&id)));
        }
        End::Exited(None) => say(&format!("chatcode: {name} is over: {state}")),
        End::Exited(Some(exit)) => return exited(&name, &exit),
        End::Refused(refusal) => return Err(refused(&refusal)),
    }
    Ok(())
}

/// As ssh does, the command's exit code is the program's.
fn exited(name: &str, exit: &pb::Exit) -> anyhow::Result<()> {
    let words = format!("{name} has ended: {}", exit_words(exit));
    let code = if exit.signal != 0 { 128 + exit.signal } else { exit.code };
    if code == 0 {
        say(&format!("chatcode: {words}"));
        return Ok(());
    }
    Err(anyhow::anyhow!(words).context(Exit(u8::try_from(code).unwrap_or(exit::FAILURE))))
}

/// One connection after the other.
async fn stay(client: &Client, view: &mut View) -> End {
    let (first, longest) = limits::RECONNECT;
    let mut pauses = Backoff::new(first, longest);
    let mut broken_since: Option<Instant> = None;
    loop {
        let tried = Instant::now();
        let attachments = view.attachments();
        let why = match connection::run(client, view).await {
            Outcome::End(End::Exited(exit)) => {
                let last = view.over(exit);
                if !next_life::comes(client, view, &last).await {
                    return End::Exited(exit);
                }
                view.disconnected();
                continue;
            }
            Outcome::End(end) => return end,
            Outcome::Broken(why) => why,
        };
        view.disconnected();
        if !comes_back(view.attachments() > 0, &why) {
            return End::Refused(why);
        }
        if view.attachments() > attachments {
            broken_since = None;
            if tried.elapsed() > longest {
                pauses.reset();
            }
        }
        let since = *broken_since.get_or_insert_with(Instant::now);
        let pause = pauses.next(rand::random());
        if let Some(end) = wait(view, since, Instant::now() + pause, &why).await {
            return end;
        }
    }
}

/// Whether another try makes sense. Before the first attachment the person is
/// told at once what is wrong.
fn comes_back(was_attached: bool, why: &Refusal) -> bool {
    // A connection that broke off without a word has no code of its own.
    was_attached && (why.code.is_transient() || matches!(why.code, Code::Protocol | Code::Done))
}

/// Waits for the next try; keys are kept for the session and hurry it, and `~.`
/// leaves.
async fn wait(view: &mut View, since: Instant, next_try: Instant, why: &Refusal) -> Option<End> {
    let since_try = Instant::now();
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next_try) => return None,
            _ = tick.tick() => view.say_broken(since.elapsed(), why),
            end = view.person() => {
                if end.is_some() {
                    return end;
                }
                // Somebody types, so somebody waits.
                if view.take_typed() && since_try.elapsed() >= HURRY {
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again_and_only_once_it_stood() {
        let why = |code| Refusal::new(code, "");
        for code in [Code::CoreUnreachable, Code::GatewayOffline, Code::Draining, Code::Protocol] {
            assert!(comes_back(true, &why(code)), "{code:?}");
            assert!(!comes_back(false, &why(code)), "{code:?}");
        }
        for code in [Code::Fenced, Code::SessionEnded, Code::UnknownSession, Code::Revoked, Code::Forbidden] {
            assert!(!comes_back(true, &why(code)), "{code:?}");
        }
    }
}
