//! Signing in by a mail, and adding an address. The answer to whoever asks is the
//! same, and comes after the same work, whether anybody has the address.

use chatcode_certs::{
    random,
    secret::{self, Secret},
};
use chatcode_proto::{
    code::Refusal,
    limits,
    name::display_safe,
    pb::{
        AccountsBeginSignInRequest, AccountsBeginSignInResponse, Code, IdentitiesBeginAddResponse,
        IdentitiesFinishAddResponse, IdentityKind, MailProof, accounts_begin_sign_in_response,
        identities_begin_add_response, mail_proof::What,
    },
};
use zeroize::Zeroizing;

use super::from;
use crate::{
    caller::CallInfo,
    services::{
        accounts::at_page,
        device,
        identities::bound,
        people::{email, fresh},
    },
    shared::{MailFrom, Shared},
    sign_in::mail::{Letter, Reason},
    store::{
        identities::NewIdentity,
        mail::{MailAsked, MailKeys, MailRefused, MailShown},
        people::ChangeError,
        sign_ins::{Proven, SecretHash},
    },
};

/// What a mail calls a browser that it does not know: whoever asks does not write in
/// another's mail.
const UNKNOWN: &str = "a browser that is not known here";

/// Sends a mail, if anybody has the address.
pub(super) async fn begin(
    shared: &Shared,
    info: &CallInfo,
    wanted: &AccountsBeginSignInRequest,
    address: &str,
) -> Result<AccountsBeginSignInResponse, Refusal> {
    let who = MailFrom::Client(from(info, &wanted.address));
    let asked = MailAsked {
        address: address_of(address)?,
        person: None,
        device: device::known(&wanted.device).unwrap_or_else(|| UNKNOWN.to_owned()),
        client: display_safe(&wanted.address, limits::NAME_CHARS),
    };
    let browser = Secret::generate();
    let expires_unix_ms = ask(shared, info, who, &browser, browser.hash(), asked).await?;
    Ok(AccountsBeginSignInResponse {
        challenge: browser.expose().to_string(),
        expires_unix_ms,
        options: Some(accounts_begin_sign_in_response::Options::Mail(true)),
    })
}

/// Whose mail somebody reads.
pub(super) async fn prove(shared: &Shared, proof: MailProof) -> Result<Proven, Refusal> {
    let browser = Secret::from_text(&proof.challenge).ok();
    let shown = match proof.what {
        Some(What::Link(text)) => {
            let text = Zeroizing::new(text);
            let link = Secret::from_text(&text).map_err(|_| MailRefused::Bad)?.hash();
            MailShown::Link { link, browser: browser.map(|secret| secret.hash()), anywhere: proof.anywhere }
        }
        Some(What::Code(text)) => {
            let browser = browser.ok_or_else(other_browser)?;
            MailShown::Code { browser: browser.hash(), code: code_hash(&browser, &digits(text)?) }
        }
        None => return Err(Refusal::new(Code::Invalid, "the link or the code is missing; send one")),
    };
    let asked = shared.store.take_mail(&shown).await?;
    match asked.person {
        None => Ok(Proven::Address(asked.address)),
        Some(_) => Err(MailRefused::Bad.into()),
    }
}

/// Sends a code to an address that a person who is in wants to sign in by.
pub(in crate::services) async fn begin_adding(
    shared: &Shared,
    info: &CallInfo,
    address: &str,
) -> Result<IdentitiesBeginAddResponse, Refusal> {
    let (person, session) = at_page(info)?;
    let asked = MailAsked {
        address: address_of(address)?,
        person: Some(person.id.clone()),
        device: "where you are signed in".to_owned(),
        client: String::new(),
    };
    let browser = Secret::generate();
    let who = MailFrom::Person(person.id.clone());
    let expires_unix_ms = ask(shared, info, who, &browser, bound(&browser, session), asked).await?;
    Ok(IdentitiesBeginAddResponse {
        challenge: browser.expose().to_string(),
        expires_unix_ms,
        options: Some(identities_begin_add_response::Options::Mail(true)),
    })
}

/// Links the address whose code was read with the person who is in.
pub(in crate::services) async fn finish_adding(
    shared: &Shared,
    info: &CallInfo,
    challenge: &str,
    code: &str,
) -> Result<IdentitiesFinishAddResponse, Refusal> {
    let (person, session) = at_page(info)?;
    let browser = Secret::from_text(challenge).map_err(|_| other_browser())?;
    let code = code_hash(&browser, &digits(code.to_owned())?);
    let shown = MailShown::Code { browser: bound(&browser, session), code };
    let asked = shared.store.take_mail(&shown).await?;
    if asked.person.as_deref() != Some(&person.id) {
        return Err(other_browser());
    }
    if shared.store.is_address_of_another(&asked.address, &person.id).await? {
        return Err(ChangeError::Elsewhere.into());
    }
    let new = NewIdentity {
        id: &fresh(),
        person: &person.id,
        session,
        kind: IdentityKind::Mail,
        subject: &asked.address,
        data: "",
        label: &display_safe(&asked.address, limits::NAME_CHARS),
    };
    let identity = Some(shared.store.add_identity(&new, &info.act("identity.added")).await?);
    Ok(IdentitiesFinishAddResponse { identity })
}

/// Keeps what is asked, and sends the mail when somebody has the address or adds
/// it. Says when it ends.
async fn ask(
    shared: &Shared,
    info: &CallInfo,
    who: MailFrom,
    browser: &Secret,
    browser_hash: SecretHash,
    asked: MailAsked,
) -> Result<u64, Refusal> {
    let mailer = shared.sign_in.mailer()?;
    let origin = shared.sign_in.page(&info.origin)?;
    shared.rates.mails_from.check(&who)?;
    shared.rates.mails_to_from.check(&(asked.address.clone(), who))?;
    shared.rates.mails_to.check(&asked.address)?;
    let place = mailer.place()?;
    let (link, code) = (Secret::generate(), fresh_code());
    let keys = MailKeys { browser: browser_hash, link: link.hash(), code: code_hash(browser, &code) };
    let is_sent = asked.person.is_some() || shared.store.is_mail_of_somebody(&asked.address).await?;
    let expires = shared.store.ask_for_mail(&keys, &asked).await?;
    if is_sent {
        place.put(Letter {
            to: asked.address,
            link: Zeroizing::new(format!("{origin}/#mail={}", &*link.expose())),
            code,
            device: asked.device,
            origin: origin.to_owned(),
            reason: if asked.person.is_some() { Reason::Add } else { Reason::SignIn },
        });
    }
    Ok(expires)
}

fn address_of(text: &str) -> Result<String, Refusal> {
    match email(text.trim())? {
        address if address.is_empty() => Err(Refusal::new(Code::Invalid, "the address is missing; type it")),
        address => Ok(address),
    }
}

/// Digits by chance, each number as likely as any other.
fn fresh_code() -> Zeroizing<String> {
    let most = 10_u64.pow(DIGITS);
    // 64 bits more than 8 digits need: the last numbers are less likely by 10^-12.
    let number = u64::from_le_bytes(random::bytes()) % most;
    Zeroizing::new(format!("{number:0width$}", width = limits::MAIL_CODE_DIGITS))
}

const DIGITS: u32 = limits::MAIL_CODE_DIGITS as u32;

/// What is kept of a code: nobody finds it without the browser's secret.
fn code_hash(browser: &Secret, code: &str) -> SecretHash {
    let both = Zeroizing::new([&browser.expose_bytes()[..], b" mail ", code.as_bytes()].concat());
    secret::hash(&both)
}

/// A code as a person types it, without its blanks.
fn digits(text: String) -> Result<Zeroizing<String>, Refusal> {
    let text = Zeroizing::new(text);
    let code: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|c| !c.is_whitespace() && *c != '-').take(64).collect());
    if code.len() == limits::MAIL_CODE_DIGITS && code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(code);
    }
    let words = format!("the code has {} digits; type those of the newest mail", limits::MAIL_CODE_DIGITS);
    Err(Refusal::new(Code::Invalid, words))
}

fn other_browser() -> Refusal {
    let words = "the code counts only in the browser that asked for it; ask for a mail here, or use the link of \
                 the mail";
    Refusal::new(Code::BadToken, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_eight_digits_however_it_is_typed() {
        for _ in 0..100 {
            let code = fresh_code();
            assert_eq!(digits(format!(" {} {} ", &code[..4], &code[4..])).expect("is one"), code);
        }
        for text in ["", "1234567", "123456789", "1234567a", "１２３４５６７８"] {
            assert_eq!(digits(text.to_owned()).expect_err(text).code, Code::Invalid, "{text}");
        }
    }

    #[test]
    fn the_hash_of_a_code_is_of_one_browser() {
        let (one, other) = (Secret::from_bytes([1; 32]), Secret::from_bytes([2; 32]));
        assert_ne!(code_hash(&one, "12345678"), code_hash(&other, "12345678"));
        assert_ne!(code_hash(&one, "12345678"), code_hash(&one, "12345679"));
    }
}
