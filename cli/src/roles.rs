//! `chatcode admin roles`: what each role may do, and who has which where.

use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    label,
    pb::{
        Binding, PeopleCreateBindingRequest, PeopleListBindingsRequest, PeopleListRolesRequest,
        PeopleRemoveBindingRequest, Permission, PersonRole, Place, PlaceLabel, binding,
        people_create_binding_request::Holder, place,
    },
};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;

use crate::{
    client::{Client, unary},
    fleet::Fleet,
    names::Kind,
    people,
    print::{self, Tell, say, shown},
    table::Table,
    teams,
};

const BINDING: Kind = Kind { what: "given role", list: "admin roles bindings" };

/// What each role may do, and who has which where.
#[derive(Debug, Subcommand)]
pub(crate) enum Roles {
    /// List the roles and what each may do.
    List {
        /// Print one line of JSON for each.
        #[arg(long)]
        json: bool,
    },
    /// List who has which role where.
    Bindings {
        /// Print one line of JSON for each.
        #[arg(long)]
        json: bool,
    },
    /// Give a role to a person or a team; it counts at once.
    Give {
        /// Which.
        #[arg(value_enum)]
        role: Role,
        #[command(flatten)]
        to: To,
        #[command(flatten)]
        on: On,
        #[command(flatten)]
        tell: Tell,
    },
    /// Take a role away again; what rests on it ends within a second.
    Take {
        /// The id that `bindings` shows.
        binding: String,
        #[command(flatten)]
        tell: Tell,
    },
}

/// A role.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Sees machines and sessions.
    Viewer,
    /// Also starts, types into and ends sessions.
    Operator,
    /// Also machines, people, the audit and the installation.
    Admin,
    /// Also owners, administrators' programs and the CA. Whoever becomes owner loses
    /// every way in of before; invite them anew.
    Owner,
}

impl From<Role> for PersonRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Operator => Self::Operator,
            Role::Admin => Self::Admin,
            Role::Owner => Self::Owner,
        }
    }
}

/// To whom.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct To {
    /// A person, by id, name or e-mail address.
    #[arg(long, value_name = "WHO")]
    person: Option<String>,
    /// A team, by id or name.
    #[arg(long)]
    team: Option<String>,
}

/// Where; left out: everywhere.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct On {
    /// Only on the machines with this label.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label::parse)]
    label: Option<(String, String)>,
    /// Only on this machine, by id or name.
    #[arg(long, value_name = "MACHINE")]
    gateway: Option<String>,
}

impl On {
    /// As it crosses the wire.
    ///
    /// # Errors
    /// When no machine, or several, have that name.
    pub(crate) async fn place(self, client: &Client) -> anyhow::Result<Place> {
        let place = match (self.label, self.gateway) {
            (Some((key, value)), _) => place::Place::Label(PlaceLabel { key, value }),
            (None, Some(wanted)) => {
                let fleet = Fleet::ask(client).await?;
                place::Place::Gateway(fleet.gateway(&wanted)?.id.clone())
            }
            (None, None) => place::Place::Everything(true),
        };
        Ok(Place { place: Some(place) })
    }
}

/// A role as `--json` shows it.
#[derive(Debug, Serialize)]
struct RoleRow {
    role: &'static str,
    permissions: Vec<String>,
}

/// A binding as `--json` shows it.
#[derive(Debug, Serialize)]
struct BindingRow<'a> {
    id: &'a str,
    role: &'static str,
    person: Option<&'a str>,
    team: Option<&'a str>,
    on: String,
    created_unix_ms: u64,
    created_by: &'a str,
}

impl Roles {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List { json } => list(client, json).await,
            Self::Bindings { json } => bindings(client, json).await,
            Self::Give { role, to, on, tell } => give(client, role, to, on, tell).await,
            Self::Take { binding, tell } => {
                let all = all(client).await?;
                let id = BINDING.pick(&binding, &all, |one| (&one.id, &one.id))?.id.clone();
                let call = client
                    .people()
                    .remove_binding(unary(PeopleRemoveBindingRequest { id: id.clone() }))
                    .await;
                call.map_err(|status| client.error(&status))?;
                tell.done("taken away", &json!({ "id": id, "done": "taken_away" }))
            }
        }
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let call = client.people().list_roles(unary(PeopleListRolesRequest {})).await;
    let roles = call.map_err(|status| client.error(&status))?.into_inner().roles;
    let rows = roles.iter().map(|info| {
        let permissions = info.permissions().map(permission).collect();
        RoleRow { role: text(info.role()), permissions }
    });
    if json {
        for row in rows {
            print::json(&row)?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["ROLE", "MAY"]);
    for row in rows {
        table.row([row.role.to_owned(), row.permissions.join(", ")]);
    }
    Ok(print::answer(&table.render())?)
}

async fn all(client: &Client) -> anyhow::Result<Vec<Binding>> {
    let (mut bindings, mut after) = (Vec::new(), String::new());
    loop {
        let call = client.people().list_bindings(unary(PeopleListBindingsRequest { after })).await;
        let page = call.map_err(|status| client.error(&status))?.into_inner();
        bindings.extend(page.bindings);
        after = page.next;
        if after.is_empty() {
            return Ok(bindings);
        }
    }
}

async fn bindings(client: &Client, json: bool) -> anyhow::Result<()> {
    let all = all(client).await?;
    if json {
        for one in &all {
            print::json(&row(one))?;
        }
        return Ok(());
    }
    let (people, teams) = (people::all(client).await?, teams::all(client).await?);
    let mut table = Table::new(&["ID", "ROLE", "ON", "TO"]);
    for one in &all {
        let to = match &one.holder {
            Some(binding::Holder::Person(id)) => {
                let known = people.iter().find(|person| person.id == *id);
                known.map_or(id.clone(), |person| person.display_name.clone())
            }
            Some(binding::Holder::Team(id)) => {
                let known = teams.iter().find(|team| team.id == *id);
                format!("team {}", known.map_or(id, |team| &team.name))
            }
            None => String::new(),
        };
        table.row([&one.id, text(one.role()), &place_text(one.place.as_ref()), &to]);
    }
    Ok(print::answer(&table.render())?)
}

fn row(one: &Binding) -> BindingRow<'_> {
    let (person, team) = match &one.holder {
        Some(binding::Holder::Person(id)) => (Some(id.as_str()), None),
        Some(binding::Holder::Team(id)) => (None, Some(id.as_str())),
        None => (None, None),
    };
    BindingRow {
        id: &one.id,
        role: text(one.role()),
        person,
        team,
        on: place_text(one.place.as_ref()),
        created_unix_ms: one.created_unix_ms,
        created_by: &one.created_by,
    }
}

async fn give(client: &Client, role: Role, to: To, on: On, tell: Tell) -> anyhow::Result<()> {
    let (holder, whom) = match (to.person, to.team) {
        (Some(who), _) => {
            let person = people::named(client, &who).await?;
            (Holder::Person(person.id), person.display_name)
        }
        (None, Some(wanted)) => {
            let team = teams::named(client, &wanted).await?;
            (Holder::Team(team.id), format!("team {}", team.name))
        }
        (None, None) => {
            return Err(anyhow::anyhow!("name a person or a team").context(Exit(exit::USAGE)));
        }
    };
    let place = on.place(client).await?;
    let request = PeopleCreateBindingRequest {
        holder: Some(holder),
        role: PersonRole::from(role).into(),
        place: Some(place),
    };
    let call = client.people().create_binding(unary(request)).await;
    let made = call.map_err(|status| client.error(&status))?.into_inner().binding.unwrap_or_default();
    if tell.json {
        return Ok(print::json(&row(&made))?);
    }
    print::answer(&format!("{}\n", shown(&made.id)))?;
    let (role, place) = (text(made.role()), place_text(made.place.as_ref()));
    say(&format!("{}: {role} on {}", shown(&whom), shown(&place)));
    Ok(())
}

/// The name of a role.
pub(crate) const fn text(role: PersonRole) -> &'static str {
    match role {
        PersonRole::Unspecified => "none",
        PersonRole::Viewer => "viewer",
        PersonRole::Operator => "operator",
        PersonRole::Admin => "admin",
        PersonRole::Owner => "owner",
    }
}

/// Where a role counts, in words.
pub(crate) fn place_text(place: Option<&Place>) -> String {
    match place.and_then(|place| place.place.as_ref()) {
        Some(place::Place::Everything(_)) => "everything".to_owned(),
        Some(place::Place::Label(PlaceLabel { key, value })) => format!("label {key}={value}"),
        Some(place::Place::Gateway(id)) => format!("gateway {id}"),
        None => "nothing".to_owned(),
    }
}

/// A permission in words: "session write".
fn permission(permission: Permission) -> String {
    permission.as_str_name().trim_start_matches("PERMISSION_").to_lowercase().replace('_', " ")
}
