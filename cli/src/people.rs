//! `chatcode admin people`: who is known, and letting them in.

mod ways;

use chatcode_proto::{
    name::display_safe,
    pb::{
        AccountsCreateSignInRequest, PeopleCreateRequest, PeopleListRequest, PeopleRemoveRequest,
        PeopleSuspendRequest, PeopleUpdateRequest, Person,
    },
};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use crate::{
    client::{Client, unary},
    home::Home,
    login_url::{self, origin},
    names::Kind,
    print::{self, Tell, say, shown},
    table::{Table, ago, now_ms},
};

const PERSON: Kind = Kind { what: "person", list: "admin people list" };

/// Manage people. WHO is an id, a name or an e-mail address.
#[derive(Debug, Subcommand)]
pub(crate) enum People {
    /// List them.
    List {
        /// Print one line of JSON for each.
        #[arg(long)]
        json: bool,
    },
    /// Add a person, who may do nothing until a role is given
    /// (`chatcode admin roles give`).
    Add {
        /// The name that others see.
        name: String,
        /// The e-mail address.
        #[arg(long, default_value = "", hide_default_value = true)]
        email: String,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change a person's name or e-mail address.
    Update {
        /// Who.
        who: String,
        /// The new name.
        #[arg(long)]
        name: Option<String>,
        /// The new e-mail address; empty: none.
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        tell: Tell,
    },
    /// Shut a person out: sessions and API tokens at once.
    Suspend {
        /// Who.
        who: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Let a suspended person in again.
    Resume {
        /// Who.
        who: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Remove a person with all that lets them in.
    Remove {
        /// Who.
        who: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// List by what a person signs in, and in which browsers they are.
    Ways {
        /// Who.
        who: String,
        /// Print one line of JSON for each.
        #[arg(long)]
        json: bool,
    },
    /// Take a way to sign in away, of a device that was lost say; all browsers of the
    /// person are signed out.
    RemoveWay {
        /// Who.
        who: String,
        /// Its id.
        id: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Sign a person out, everywhere.
    SignOut {
        /// Who.
        who: String,
        /// Only this session, by its id.
        #[arg(long, default_value = "", hide_default_value = true)]
        session: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Print a one-time URL by which this person signs in.
    Invite {
        /// Who.
        who: String,
        /// Where the page is, such as https://code.example.org; left out: the page
        /// of this machine's `chatcode up`.
        #[arg(long, value_parser = origin)]
        origin: Option<String>,
        #[command(flatten)]
        tell: Tell,
    },
}

/// A person as `--json` shows them.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    email: &'a str,
    suspended_unix_ms: u64,
    created_unix_ms: u64,
}

impl<'a> From<&'a Person> for Row<'a> {
    fn from(person: &'a Person) -> Self {
        Self {
            id: &person.id,
            name: &person.display_name,
            email: &person.email,
            suspended_unix_ms: person.suspended_unix_ms,
            created_unix_ms: person.created_unix_ms,
        }
    }
}

impl People {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        let client = home.client()?;
        match self {
            Self::List { json } => list(&client, json).await,
            Self::Add { name, email, json } => {
                let request = PeopleCreateRequest { display_name: name, email };
                let call = client.people().create(unary(request)).await;
                let person = call.map_err(|status| client.error(&status))?.into_inner().person;
                let person = person.unwrap_or_default();
                if json {
                    return Ok(print::json(&Row::from(&person))?);
                }
                print::answer(&format!("{}\n", shown(&person.id)))?;
                say("may do nothing yet: `chatcode admin roles give`, then `chatcode admin people invite`");
                Ok(())
            }
            Self::Update { who, name, email, tell } => {
                let person = named(&client, &who).await?;
                let request = PeopleUpdateRequest {
                    id: person.id,
                    display_name: name.unwrap_or(person.display_name),
                    email: email.unwrap_or(person.email),
                };
                let call = client.people().update(unary(request)).await;
                let now = call.map_err(|status| client.error(&status))?.into_inner().person;
                let now = now.unwrap_or_default();
                tell.done(&words(&now, "changed"), &Row::from(&now))
            }
            Self::Suspend { who, tell } => suspend(&client, &who, true, tell).await,
            Self::Resume { who, tell } => suspend(&client, &who, false, tell).await,
            Self::Remove { who, tell } => {
                let person = named(&client, &who).await?;
                let request = PeopleRemoveRequest { id: person.id.clone() };
                let call = client.people().remove(unary(request)).await;
                call.map_err(|status| client.error(&status))?;
                tell.done(&words(&person, "removed"), &json!({ "id": person.id, "done": "removed" }))
            }
            Self::Ways { who, json } => ways::list(&client, &who, json).await,
            Self::RemoveWay { who, id, tell } => ways::remove(&client, &who, id, tell).await,
            Self::SignOut { who, session, tell } => ways::sign_out(&client, &who, session, tell).await,
            Self::Invite { who, origin, tell } => {
                let origin = login_url::place(origin, home)?;
                let person = named(&client, &who).await?;
                let request = AccountsCreateSignInRequest { person: person.id.clone() };
                let url = login_url::create(&client, &origin, request).await?;
                if tell.json {
                    return Ok(print::json(&json!({ "person": person.id, "url": url.as_str() }))?);
                }
                print::answer(&format!("{}\n", url.as_str()))?;
                say(&words(&person, "signs in by it once, within 10 minutes; give it to nobody else"));
                Ok(())
            }
        }
    }
}

/// The person who is meant.
///
/// # Errors
/// When there is none, several, or the core refuses or does not answer.
pub(crate) async fn named(client: &Client, who: &str) -> anyhow::Result<Person> {
    let people = all(client).await?;
    if let Some(person) = people.iter().find(|person| !who.is_empty() && person.email == who.to_lowercase()) {
        return Ok(person.clone());
    }
    Ok(PERSON.pick(who, &people, |person| (&person.id, &person.display_name))?.clone())
}

/// All people.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn all(client: &Client) -> anyhow::Result<Vec<Person>> {
    let (mut people, mut after) = (Vec::new(), String::new());
    loop {
        let call = client.people().list(unary(PeopleListRequest { after })).await;
        let page = call.map_err(|status| client.error(&status))?.into_inner();
        people.extend(page.people);
        after = page.next;
        if after.is_empty() {
            return Ok(people);
        }
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let people = all(client).await?;
    if json {
        for person in &people {
            print::json(&Row::from(person))?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["ID", "NAME", "E-MAIL", "STATE", "ADDED"]);
    for person in &people {
        let state = if person.suspended_unix_ms == 0 { "may sign in" } else { "suspended" };
        let added = format!("{} ago", ago(now_ms(), person.created_unix_ms));
        table.row([&person.id, &person.display_name, &person.email, state, &added]);
    }
    Ok(print::answer(&table.render())?)
}

async fn suspend(client: &Client, who: &str, suspended: bool, tell: Tell) -> anyhow::Result<()> {
    let person = named(client, who).await?;
    let call =
        client.people().suspend(unary(PeopleSuspendRequest { id: person.id.clone(), suspended })).await;
    call.map_err(|status| client.error(&status))?;
    let what = words(&person, if suspended { "suspended" } else { "may sign in again" });
    tell.done(&what, &json!({ "id": person.id, "suspended": suspended }))
}

fn words(person: &Person, what: &str) -> String {
    format!("{}: {what}", display_safe(&person.display_name, 64))
}
