//! Signing in: what is open, a challenge where one is needed, and a proof that is
//! traded for a session. Each way has one arm in [`methods`], [`begin`] and
//! [`prove`], and its own rules in [`crate::sign_in`].

pub(super) mod mail;
pub(super) mod provider;

use std::net::IpAddr;

use chatcode_certs::{MemberName, secret::Secret};
use chatcode_link::subscriber;
use chatcode_proto::{
    code::Refusal,
    id::MemberId,
    limits,
    name::display_safe,
    pb::{
        AccountsBeginSignInRequest, AccountsBeginSignInResponse, AccountsSignInMethodsResponse,
        AccountsSignInRequest, AccountsSignInResponse, Code, IdentityKind, PasskeyProof, PasswordProof,
        accounts_begin_sign_in_request::Method, accounts_begin_sign_in_response::Options,
        accounts_sign_in_request::Proof,
    },
};
use zeroize::Zeroizing;

use crate::{
    caller::{CallInfo, Standing},
    services::device,
    shared::Shared,
    store::{
        audit::Entry,
        challenges::{Challenge, ChallengeKind},
        identities::FoundIdentity,
        sign_ins::{Browser, Proven, Replaced, SignInError, SignedIn},
    },
};

const ACTION: &str = "/chatcode.v1.Accounts/SignIn";

/// Which ways are open at the page that asks.
///
/// # Errors
/// `FORBIDDEN` past an edge.
pub fn methods(shared: &Shared, info: &CallInfo) -> Result<AccountsSignInMethodsResponse, Refusal> {
    through_edge(info)?;
    Ok(AccountsSignInMethodsResponse {
        passkeys: shared.sign_in.has_passkeys(&info.origin),
        passwords: shared.sign_in.has_passwords(),
        mail: shared.sign_in.has_mail(),
        providers: provider::shown(shared),
    })
}

/// Makes a challenge.
///
/// # Errors
/// `FORBIDDEN` when the way is not open, or past an edge; `BAD_ORIGIN`; `LIMIT` when
/// too many wait; `INVALID` when none is named.
pub async fn begin(
    shared: &Shared,
    info: &CallInfo,
    wanted: &AccountsBeginSignInRequest,
) -> Result<AccountsBeginSignInResponse, Refusal> {
    through_edge(info)?;
    match &wanted.method {
        Some(Method::Mail(address)) => mail::begin(shared, info, wanted, address).await,
        Some(Method::Provider(id)) => provider::begin(shared, info, id).await,
        Some(Method::Passkey(true)) => {
            let begun = shared.sign_in.passkeys()?.begin_sign_in(&info.origin)?;
            let challenge = Challenge { person: None, data: begun.state };
            let secret = Secret::generate();
            let expires_unix_ms =
                add_challenge(shared, &secret, ChallengeKind::PasskeySignIn, &challenge).await?;
            Ok(AccountsBeginSignInResponse {
                challenge: secret.expose().to_string(),
                expires_unix_ms,
                options: Some(Options::Passkey(begun.options)),
            })
        }
        Some(Method::Passkey(false)) | None => {
            Err(Refusal::new(Code::Invalid, "name the way to sign in that begins"))
        }
    }
}

/// Keeps a challenge for whoever has the secret; says when it ends, milliseconds
/// since 1970.
async fn add_challenge(
    shared: &Shared,
    secret: &Secret,
    kind: ChallengeKind,
    challenge: &Challenge,
) -> Result<u64, Refusal> {
    Ok(shared.store.add_challenge(&secret.hash(), kind, challenge).await?)
}

/// Trades a proof for a session and writes which.
///
/// # Errors
/// `BAD_TOKEN` for a wrong proof, `FORBIDDEN` past an edge or for a proof of another
/// person than was meant, `RATE_LIMITED`; and those of the way itself.
pub async fn trade(
    shared: &Shared,
    info: &CallInfo,
    wanted: AccountsSignInRequest,
) -> Result<AccountsSignInResponse, Refusal> {
    let edge = through_edge(info)?;
    let browser = Browser {
        device: device::shown(&wanted.device),
        address: display_safe(&wanted.address, limits::NAME_CHARS),
        replaces: Secret::from_text(&wanted.replaces).ok().map(|before| before.hash()),
        same_person: wanted.same_person,
    };
    let (token, act) = (Secret::generate(), act(info));
    let words = match &wanted.proof {
        Some(Proof::Secret(_)) | None => "the sign-in link is unknown, used or expired; make a new one",
        Some(Proof::Passkey(_)) => "the passkey or the account was changed meanwhile; try again",
        Some(Proof::Password(_)) => WRONG_PASSWORD,
        Some(Proof::Mail(_)) => "nobody has this address any more; ask an administrator",
        Some(Proof::Provider(_)) => provider::NO_ACCOUNT,
    };
    let from = from(info, &browser.address);
    let is_vouched = matches!(wanted.proof, Some(Proof::Provider(_)));
    let signed = match prove(shared, info, from, wanted.proof).await {
        Ok(proven) => shared.store.sign_in(&proven, &token.hash(), &browser, &act).await,
        Err(refusal) if refusal.code == Code::BadToken => {
            return Err(wrong(shared, info, edge, refusal).await);
        }
        Err(other) => return Err(other),
    };
    match signed {
        Ok(signed) => {
            if is_vouched {
                // Teams may have changed with the groups.
                shared.directory.refresh(&shared.store).await?;
            }
            Ok(begun(shared, &token, signed))
        }
        Err(SignInError::Bad | SignInError::NoAccount) => {
            Err(wrong(shared, info, edge, Refusal::new(Code::BadToken, words)).await)
        }
        Err(SignInError::OtherPerson) => {
            let words = "this is of another account than the one that is signed in here; use one of its own, or sign out first";
            Err(Refusal::new(Code::Forbidden, words))
        }
        Err(SignInError::Store(error)) => Err(error.into()),
    }
}

/// What is answered when somebody has signed in.
fn begun(shared: &Shared, token: &Secret, signed: SignedIn) -> AccountsSignInResponse {
    shared.lives.end_each(&signed.ended);
    let instead_of = match signed.replaced {
        Replaced::Nothing | Replaced::Own => String::new(),
        Replaced::Other(display_name) => display_name,
    };
    AccountsSignInResponse {
        session_token: token.expose().to_string(),
        expires_unix_ms: signed.session.expires_ms,
        display_name: signed.session.person.display_name,
        instead_of,
    }
}

/// Judges a proof as far as it goes without the trade.
async fn prove(
    shared: &Shared,
    info: &CallInfo,
    from: IpAddr,
    proof: Option<Proof>,
) -> Result<Proven, Refusal> {
    match proof {
        Some(Proof::Secret(secret)) => {
            let secret = Zeroizing::new(secret);
            let secret = Secret::from_text(&secret)
                .map_err(|_| Refusal::new(Code::BadToken, "the sign-in link is not whole; make a new one"))?;
            Ok(Proven::Secret(secret.hash()))
        }
        Some(Proof::Passkey(proof)) => by_passkey(shared, info, &proof).await,
        Some(Proof::Password(proof)) => by_password(shared, from, proof).await,
        Some(Proof::Mail(proof)) => mail::prove(shared, proof).await,
        Some(Proof::Provider(proof)) => provider::prove(shared, info, &proof).await,
        None => Err(Refusal::new(Code::Invalid, "the proof is missing; send one")),
    }
}

async fn by_passkey(shared: &Shared, info: &CallInfo, proof: &PasskeyProof) -> Result<Proven, Refusal> {
    let passkeys = shared.sign_in.passkeys()?;
    let challenge = take_challenge(shared, &proof.challenge, ChallengeKind::PasskeySignIn).await?;
    let answer = passkeys.answer(&proof.credential)?;
    let known = shared.store.identity(IdentityKind::Passkey, answer.subject()).await?;
    let FoundIdentity { id, person, data, .. } = known.ok_or_else(|| {
        let words = "this passkey is not known here; use another one, or sign in in another way";
        Refusal::new(Code::BadToken, words)
    })?;
    let now = passkeys.finish_sign_in(&info.origin, &challenge.data, &answer, &person.id, &data)?;
    Ok(Proven::Identity { id, before: data, now })
}

/// A challenge that this browser was given.
async fn take_challenge(shared: &Shared, secret: &str, kind: ChallengeKind) -> Result<Challenge, Refusal> {
    let bad = || {
        let words =
            "this sign-in was begun in another browser or tab, or more than five minutes ago; begin again";
        Refusal::new(Code::BadToken, words)
    };
    let secret = Secret::from_text(secret).map_err(|_| bad())?;
    shared.store.take_challenge(&secret.hash(), kind).await?.ok_or_else(bad)
}

const WRONG_PASSWORD: &str = "address or password is wrong; try again, or sign in in another way";

async fn by_password(shared: &Shared, from: IpAddr, proof: PasswordProof) -> Result<Proven, Refusal> {
    let passwords = shared.sign_in.passwords()?;
    let (email, password) = (proof.email.trim().to_lowercase(), Zeroizing::new(proof.password));
    let fits = |text: &str, most| text.chars().count() <= most;
    if !fits(&email, limits::EMAIL_CHARS) || !fits(&password, *limits::PASSWORD_CHARS.end()) {
        return Err(Refusal::new(Code::Invalid, "the address or the password is too long"));
    }
    shared.rates.passwords_from.check(&(email.clone(), from))?;
    let known = shared.store.password_of(&email).await?;
    let person = known.as_ref().map_or("", |known| known.person.id.as_str());
    if !is_home(shared, person, from).await? {
        shared.rates.passwords.check(&email)?;
    }
    let is_right = passwords.is_of(password, known.as_ref().map(|known| known.data.as_str())).await?;
    match known {
        Some(FoundIdentity { id, data, .. }) if is_right => {
            Ok(Proven::Identity { id, now: data.clone(), before: data })
        }
        _ => Err(Refusal::new(Code::BadToken, WRONG_PASSWORD)),
    }
}

/// Whether this person is signed in from this address. Asked for nobody, too, which
/// is as much work.
async fn is_home(shared: &Shared, person: &str, from: IpAddr) -> Result<bool, Refusal> {
    let addresses = shared.store.addresses_of(person).await?;
    Ok(addresses.iter().filter_map(|address| address.parse().ok()).any(|address| subscriber(address) == from))
}

/// Writes a wrong proof down. Only wrong ones count: nobody can lock the owner out.
async fn wrong(shared: &Shared, info: &CallInfo, edge: MemberId, refusal: Refusal) -> Refusal {
    if let Err(limited) = shared.rates.sign_in.check(&edge) {
        return limited;
    }
    let row = Entry {
        principal: info.caller.principal(),
        result: refusal.code,
        detail: refusal.message.clone(),
        ..act(info)
    };
    match shared.store.audit(&row).await {
        Ok(()) => refusal,
        Err(error) => error.into(),
    }
}

/// The row of the audit, for whoever it turns out to be.
fn act(info: &CallInfo) -> Entry {
    info.act(ACTION)
}

/// Where the browser is, as far as the edge knows.
pub(super) fn from(info: &CallInfo, address: &str) -> IpAddr {
    subscriber(address.parse().unwrap_or_else(|_| info.peer.address.ip()))
}

/// The edge through which a call comes.
///
/// # Errors
/// `FORBIDDEN` when it comes in another way.
pub(super) fn through_edge(info: &CallInfo) -> Result<MemberId, Refusal> {
    match &info.peer.who {
        Standing::Member(name @ MemberName::Edge(_), _) => Ok(name.id()),
        _ => Err(Refusal::new(Code::Forbidden, "people sign in through an edge; open the page")),
    }
}
