//! `chatcode admin teams`: named sets of people.

use chatcode_proto::pb::{
    PeopleCreateTeamRequest, PeopleListTeamsRequest, PeopleRemoveTeamRequest, PeopleSetTeamMemberRequest,
    PeopleUpdateTeamRequest, Team,
};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use crate::{
    client::{Client, unary},
    names::Kind,
    people,
    print::{self, Tell, shown},
    table::Table,
};

const TEAM: Kind = Kind { what: "team", list: "admin teams list" };

/// Manage teams. TEAM is an id or a name.
#[derive(Debug, Subcommand)]
pub(crate) enum Teams {
    /// List them.
    List {
        /// Print one line of JSON for each.
        #[arg(long)]
        json: bool,
    },
    /// Add a team without members.
    Add {
        /// Its name.
        name: String,
        /// The group at an identity provider that it stands for, with the provider's id before it.
        #[arg(long, value_name = "PROVIDER:GROUP", default_value = "", hide_default_value = true)]
        external_group: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Change a team's name or external group.
    Update {
        /// Which.
        team: String,
        /// The new name.
        #[arg(long)]
        name: Option<String>,
        /// The new external group; empty: none. Who was a member by the one before is out at once.
        #[arg(long, value_name = "PROVIDER:GROUP")]
        external_group: Option<String>,
        #[command(flatten)]
        tell: Tell,
    },
    /// Remove a team and the roles that it was given; its members stay.
    Remove {
        /// Which.
        team: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Take a person into a team.
    Join {
        /// Which.
        team: String,
        /// Who.
        who: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Take a person out of a team.
    Leave {
        /// Which.
        team: String,
        /// Who.
        who: String,
        #[command(flatten)]
        tell: Tell,
    },
}

/// A team as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    external_group: &'a str,
    members: &'a [String],
    created_unix_ms: u64,
}

impl Teams {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List { json } => list(client, json).await,
            Self::Add { name, external_group, tell } => {
                let request = PeopleCreateTeamRequest { name, external_group };
                let call = client.people().create_team(unary(request)).await;
                let team =
                    call.map_err(|status| client.error(&status))?.into_inner().team.unwrap_or_default();
                tell.answer(&shown(&team.id), &row(&team))
            }
            Self::Update { team, name, external_group, tell } => {
                let team = named(client, &team).await?;
                let now = PeopleUpdateTeamRequest {
                    id: team.id,
                    name: name.unwrap_or(team.name),
                    external_group: external_group.unwrap_or(team.external_group),
                };
                let call = client.people().update_team(unary(now.clone())).await;
                call.map_err(|status| client.error(&status))?;
                tell.done(
                    "",
                    &json!({ "id": now.id, "name": now.name, "external_group": now.external_group }),
                )
            }
            Self::Remove { team, tell } => {
                let team = named(client, &team).await?;
                let call =
                    client.people().remove_team(unary(PeopleRemoveTeamRequest { id: team.id.clone() })).await;
                call.map_err(|status| client.error(&status))?;
                let words = format!("{}: removed; its members stay", shown(&team.name));
                tell.done(&words, &json!({ "id": team.id, "done": "removed" }))
            }
            Self::Join { team, who, tell } => set_member(client, &team, &who, true, tell).await,
            Self::Leave { team, who, tell } => set_member(client, &team, &who, false, tell).await,
        }
    }
}

/// The team that is meant.
///
/// # Errors
/// When there is none, several, or the core refuses or does not answer.
pub(crate) async fn named(client: &Client, wanted: &str) -> anyhow::Result<Team> {
    let teams = all(client).await?;
    Ok(TEAM.pick(wanted, &teams, |team| (&team.id, &team.name))?.clone())
}

/// All teams.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn all(client: &Client) -> anyhow::Result<Vec<Team>> {
    let (mut teams, mut after) = (Vec::new(), String::new());
    loop {
        let call = client.people().list_teams(unary(PeopleListTeamsRequest { after })).await;
        let page = call.map_err(|status| client.error(&status))?.into_inner();
        teams.extend(page.teams);
        after = page.next;
        if after.is_empty() {
            return Ok(teams);
        }
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let teams = all(client).await?;
    if json {
        for team in &teams {
            print::json(&row(team))?;
        }
        return Ok(());
    }
    let known = people::all(client).await?;
    let name = |id: &String| {
        let person = known.iter().find(|person| person.id == *id);
        person.map_or_else(|| id.clone(), |person| person.display_name.clone())
    };
    let mut table = Table::new(&["ID", "NAME", "EXTERNAL GROUP", "MEMBERS"]);
    for team in &teams {
        let members: Vec<_> = team.members.iter().map(name).collect();
        table.row([&team.id, &team.name, &team.external_group, &members.join(", ")]);
    }
    Ok(print::answer(&table.render())?)
}

fn row(team: &Team) -> Row<'_> {
    let Team { id, name, external_group, members, created_unix_ms } = team;
    Row { id, name, external_group, members, created_unix_ms: *created_unix_ms }
}

async fn set_member(client: &Client, team: &str, who: &str, member: bool, tell: Tell) -> anyhow::Result<()> {
    let (team, person) = (named(client, team).await?, people::named(client, who).await?);
    let request = PeopleSetTeamMemberRequest { team: team.id.clone(), person: person.id.clone(), member };
    let call = client.people().set_team_member(unary(request)).await;
    call.map_err(|status| client.error(&status))?;
    let word = if member { "is in" } else { "is not in" };
    let words = format!("{} {word} {}", shown(&person.display_name), shown(&team.name));
    tell.done(&words, &json!({ "team": team.id, "person": person.id, "member": member }))
}
