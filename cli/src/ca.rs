//! `chatcode admin ca`: the CA, its rotation by phases, and a root that is kept
//! elsewhere.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chatcode_certs::{Passphrase, csr, files, pem};
use chatcode_process::exit::{self, Exit};
use chatcode_proto::pb::{
    AdminCaImportRequest, AdminCaRequestRequest, AdminCaRotateRequest, AdminCaStatusRequest,
    AdminCaStatusResponse, CaCertificate, CaMember, CaPart, CaStep, CaUse, MemberKind,
};
use clap::{Subcommand, ValueEnum};
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use serde_json::json;

use crate::{
    client::{Client, unary},
    credentials,
    home::Home,
    print::{self, Tell, shown},
    table::{Table, now_ms, until},
};

/// Hex digits of a fingerprint that people compare.
const SHORT: usize = 16;

/// The CA.
#[derive(Debug, Subcommand)]
pub(crate) enum Ca {
    /// Its certificates, the phase of a rotation, and whom it waits for.
    Status {
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// One step of a rotation. A step that would shut members out is refused.
    Rotate {
        /// Of what.
        #[arg(value_enum)]
        part: Part,
        /// Which.
        #[arg(value_enum)]
        step: Step,
        /// Also when members are not ready.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        tell: Tell,
    },
    /// Write all certificates of the CA, PEM, to a file or standard output. Keys
    /// never travel: for the root's, see `chatcode-core ca export-root`.
    Export {
        /// The file; left out: standard output.
        file: Option<PathBuf>,
        #[command(flatten)]
        tell: Tell,
    },
    /// Write a signing request for the next intermediate to a file: for a root
    /// whose key is kept elsewhere.
    Request {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        tell: Tell,
    },
    /// Sign such a request, where the root is kept; asks no core.
    Sign {
        /// The file that `chatcode-core ca export-root` wrote.
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
        /// The file with the root's passphrase, when it is encrypted.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        /// The signing request.
        request: PathBuf,
        /// The file for the certificate.
        certificate: PathBuf,
        #[command(flatten)]
        tell: Tell,
    },
    /// Bring the certificate back: the next intermediate is prepared then.
    Import {
        /// The file.
        certificate: PathBuf,
        #[command(flatten)]
        tell: Tell,
    },
}

/// A part of the CA.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Part {
    /// What all trust.
    Root,
    /// What signs; the core rotates it by itself.
    Intermediate,
}

/// A step of a rotation.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Step {
    /// Make the next one; a next root is made known to all.
    Prepare,
    /// Use it.
    Activate,
    /// Drop the one before it.
    Retire,
    /// Go back one step.
    RollBack,
}

impl Ca {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer, or a file cannot be used.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        match self {
            Self::Status { json } => {
                credentials::follow(home).await;
                let status = status(&home.client()?).await?;
                if json { Ok(print::json(&Shown::of(&status))?) } else { Ok(print::answer(&words(&status))?) }
            }
            Self::Rotate { part, step, force, tell } => rotate(home, part, step, force, tell).await,
            Self::Export { file, tell } => {
                let status = status(&home.client()?).await?;
                let ders: Vec<_> =
                    status.certificates.iter().map(|one| CertificateDer::from(one.der.to_vec())).collect();
                let text = pem::certificates(&ders);
                match file {
                    Some(file) => {
                        write(&file, text.as_bytes())?;
                        tell.done("", &json!({ "file": file }))
                    }
                    None if tell.json => Ok(print::json(&json!({ "certificates": text }))?),
                    None => Ok(print::answer(&text)?),
                }
            }
            Self::Request { file, tell } => {
                let client = home.client()?;
                let call = client.admin().ca_request(unary(AdminCaRequestRequest {})).await;
                let csr = call.map_err(|status| client.error(&status))?.into_inner().csr;
                write(&file, csr::to_pem(&csr).as_bytes())?;
                let words = format!(
                    "where the root is kept: chatcode admin ca sign --root FILE {} CERTIFICATE",
                    shown(&file.display().to_string())
                );
                tell.done(&words, &json!({ "file": file }))
            }
            Self::Sign { root, passphrase_file, request, certificate, tell } => {
                let passphrase = passphrase_file.map(|file| Passphrase::read(&file)).transpose();
                let passphrase = passphrase.context(Exit(exit::CONFIG))?;
                let request = csr::from_pem(&read(&request)?).context("the file holds no signing request")?;
                let made = chatcode_certs::sign_intermediate(&root, passphrase.as_ref(), &request);
                let made = made.context(Exit(exit::CONFIG))?;
                write(&certificate, pem::certificates(&[made]).as_bytes())?;
                tell.done("", &json!({ "file": certificate }))
            }
            Self::Import { certificate, tell } => {
                let ders = pem::read_certificates(&read(&certificate)?).unwrap_or_default();
                let [der] = &ders[..] else { anyhow::bail!("the file does not hold one certificate") };
                let client = home.client()?;
                let request = AdminCaImportRequest { certificate: bytes::Bytes::copy_from_slice(der) };
                client.admin().ca_import(unary(request)).await.map_err(|status| client.error(&status))?;
                let words = "the next intermediate is prepared; the core uses it when it is time";
                tell.done(words, &json!({ "done": "imported" }))
            }
        }
    }
}

async fn status(client: &Client) -> anyhow::Result<AdminCaStatusResponse> {
    let call = client.admin().ca_status(unary(AdminCaStatusRequest {})).await;
    Ok(call.map_err(|status| client.error(&status))?.into_inner())
}

/// Where a rotation of the root is: none, prepared or activated.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn rotation(client: &Client) -> anyhow::Result<&'static str> {
    Ok(phase(&status(client).await?))
}

async fn rotate(home: &Home, part: Part, step: Step, force: bool, tell: Tell) -> anyhow::Result<()> {
    let part = match part {
        Part::Root => CaPart::Root,
        Part::Intermediate => CaPart::Intermediate,
    };
    let step = match step {
        Step::Prepare => CaStep::Prepare,
        Step::Activate => CaStep::Activate,
        Step::Retire => CaStep::Retire,
        Step::RollBack => CaStep::RollBack,
    };
    // This command line is a member too, and must not hold its own step up.
    credentials::follow(home).await;
    let client = home.client()?;
    let request = AdminCaRotateRequest { part: part.into(), step: step.into(), force };
    client.admin().ca_rotate(unary(request)).await.map_err(|status| client.error(&status))?;
    credentials::follow(home).await;
    let now = status(&home.client()?).await?;
    tell.done(&words(&now), &Shown::of(&now))
}

fn read(file: &Path) -> anyhow::Result<zeroize::Zeroizing<Vec<u8>>> {
    // Neither requests nor certificates are secret, but they are small.
    let length = std::fs::metadata(file).with_context(|| file.display().to_string())?.len();
    anyhow::ensure!(length <= chatcode_proto::limits::PRIVATE_FILE_BYTES, "{} is too large", file.display());
    Ok(std::fs::read(file).with_context(|| file.display().to_string())?.into())
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    anyhow::ensure!(!file.exists(), "{} is there already; name another file", file.display());
    Ok(files::write_private(file, bytes)?)
}

/// Where a rotation of the root is.
fn phase(status: &AdminCaStatusResponse) -> &'static str {
    let has = |used| status.certificates.iter().any(|one| one.part() == CaPart::Root && one.r#use() == used);
    match (has(CaUse::Next), has(CaUse::Old)) {
        (true, _) => "prepared",
        (_, true) => "activated",
        _ => "none",
    }
}

const fn part_word(one: CaPart) -> &'static str {
    match one {
        CaPart::Root => "root",
        CaPart::Intermediate => "intermediate",
        CaPart::Unspecified => "unknown",
    }
}

const fn use_word(one: CaUse) -> &'static str {
    match one {
        CaUse::Next => "next",
        CaUse::Active => "active",
        CaUse::Old => "old",
        CaUse::Unspecified => "unknown",
    }
}

/// The status as people read it.
fn words(status: &AdminCaStatusResponse) -> String {
    let mut table = Table::new(&["PART", "USE", "FINGERPRINT", "ENDS", "KEY"]);
    for one in &status.certificates {
        let key = match (one.has_key, status.encrypted) {
            (true, true) => "here, encrypted",
            (true, false) => "here",
            (false, _) => "elsewhere",
        };
        let short: String = one.fingerprint.chars().take(SHORT).collect();
        let ends = until(now_ms(), one.not_after_unix_ms);
        table.row([part_word(one.part()), use_word(one.r#use()), &short, &ends, key]);
    }
    let mut text = format!(
        "{}\nrotation of the root: {}; {} of {} members trust all roots\n",
        table.render(),
        phase(status),
        status.confirmed,
        status.members
    );
    for (members, why) in [(&status.waiting, "waits for"), (&status.depending, "depends on the old root")] {
        for member in members {
            let ends = until(now_ms(), member.not_after_unix_ms);
            let (kind, name) = (kind_word(member), shown(&member.name));
            text.push_str(&format!("  {why}: {kind} {name}, whose certificate ends {ends}\n"));
        }
    }
    if status.tokens_until_unix_ms > now_ms() {
        let ends = until(now_ms(), status.tokens_until_unix_ms);
        text.push_str(&format!("  join tokens with the old root's pin: the last ends {ends}\n"));
    }
    if status.requested {
        text.push_str("  a signing request waits for its certificate: chatcode admin ca import FILE\n");
    }
    text
}

fn kind_word(member: &CaMember) -> &'static str {
    match member.kind() {
        MemberKind::Edge => "edge",
        MemberKind::Admin => "admin",
        MemberKind::Gateway | MemberKind::Unspecified => "gateway",
    }
}

/// The line of `status --json`.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    phase: &'static str,
    members: u32,
    confirmed: u32,
    waiting: Vec<ShownMember<'a>>,
    depending: Vec<ShownMember<'a>>,
    tokens_until_unix_ms: u64,
    requested: bool,
    encrypted: bool,
    certificates: Vec<ShownCertificate<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownMember<'a> {
    id: &'a str,
    kind: &'static str,
    name: &'a str,
    not_after_unix_ms: u64,
}

#[derive(Debug, Serialize)]
struct ShownCertificate<'a> {
    part: &'static str,
    r#use: &'static str,
    fingerprint: &'a str,
    not_after_unix_ms: u64,
    has_key: bool,
}

impl<'a> Shown<'a> {
    fn of(status: &'a AdminCaStatusResponse) -> Self {
        let member = |one: &'a CaMember| ShownMember {
            id: &one.id,
            kind: kind_word(one),
            name: &one.name,
            not_after_unix_ms: one.not_after_unix_ms,
        };
        let certificate = |one: &'a CaCertificate| ShownCertificate {
            part: part_word(one.part()),
            r#use: use_word(one.r#use()),
            fingerprint: &one.fingerprint,
            not_after_unix_ms: one.not_after_unix_ms,
            has_key: one.has_key,
        };
        Self {
            phase: phase(status),
            members: status.members,
            confirmed: status.confirmed,
            waiting: status.waiting.iter().map(member).collect(),
            depending: status.depending.iter().map(member).collect(),
            tokens_until_unix_ms: status.tokens_until_unix_ms,
            requested: status.requested,
            encrypted: status.encrypted,
            certificates: status.certificates.iter().map(certificate).collect(),
        }
    }
}
