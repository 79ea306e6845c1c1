//! Sign-in by mail: link and code, each once, and the same answer to everybody.

use std::time::Duration;

use chatcode_core::config::{
    SignInConfig,
    mail::{MailConfig, MailTls},
};
use chatcode_proto::{
    limits,
    pb::{
        AccountsBeginSignInRequest, AccountsSignInRequest, AccountsSignInResponse, AccountsWhoAmIRequest,
        Code, IdentitiesBeginAddRequest, IdentitiesFinishAddRequest, MailProof, PeopleCreateRequest,
        PeopleSuspendRequest, Person, PersonRole, accounts_begin_sign_in_request::Method,
        accounts_client::AccountsClient, accounts_sign_in_request::Proof, identities_begin_add_request,
        identities_client::IdentitiesClient, identities_finish_add_request, mail_proof::What,
    },
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc},
};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::{
    common::{ORIGIN, Page, TestCore, code, config},
    identities::from_page,
    people::{Town, everything},
};

/// A mail server that keeps what it is given.
struct Post {
    port: u16,
    mails: Mutex<mpsc::Receiver<Mail>>,
    _serving: AbortOnDropHandle<()>,
}

/// One mail.
#[derive(Debug)]
struct Mail {
    to: String,
    text: String,
}

impl Post {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, mails) = mpsc::channel(64);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                take(stream, &sender).await;
            }
        });
        Self { port, mails: Mutex::new(mails), _serving: AbortOnDropHandle::new(serving) }
    }

    async fn next(&self) -> Mail {
        let mut mails = self.mails.lock().await;
        tokio::time::timeout(Duration::from_secs(20), mails.recv()).await.unwrap().unwrap()
    }
}

impl Mail {
    /// The secret of the link.
    fn link(&self) -> String {
        let from = self.text.find("#mail=").unwrap() + 6;
        self.text[from..from + 43].to_owned()
    }

    /// The code.
    fn code(&self) -> String {
        let line = self
            .text
            .lines()
            .map(str::trim)
            .find(|line| line.len() == 9 && line.chars().all(|c| c.is_ascii_digit() || c == ' '));
        line.unwrap().to_owned()
    }
}

async fn take(stream: TcpStream, sender: &mpsc::Sender<Mail>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let _ = write.write_all(b"220 post\r\n").await;
    let mut to = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer: &[u8] = match line.split(' ').next().unwrap_or_default() {
            "RCPT" => {
                to = line.trim_start_matches("RCPT TO:<").split('>').next().unwrap_or_default().to_owned();
                b"250 ok\r\n"
            }
            "DATA" => {
                let _ = write.write_all(b"354 go on\r\n").await;
                let mut body = String::new();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "." {
                        break;
                    }
                    body += &line;
                    body.push('\n');
                }
                // Quoted-printable (RFC 2045, 6.7), as far as these mails need it.
                let text = body.replace("=\n", "").replace("=3D", "=");
                sender.send(Mail { to: to.clone(), text }).await.unwrap();
                b"250 ok\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        let _ = write.write_all(answer).await;
    }
}

/// A core that sends its mails to this server.
async fn with_post() -> (Post, TestCore) {
    let post = Post::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let mail = MailConfig {
        server: "127.0.0.1".to_owned(),
        port: Some(post.port),
        tls: MailTls::None,
        user: None,
        password_file: None,
        from: "chatcode <chatcode@example.org>".to_owned(),
    };
    config.sign_in = SignInConfig { mail: Some(mail), ..SignInConfig::default() };
    let core = TestCore::start_as(folder, config).await;
    (post, core)
}

async fn ask_from(town: &Town<'_>, email: &str, address: &str) -> Result<String, Status> {
    let device = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    ask_with(town, email, address, device).await
}

async fn ask_with(town: &Town<'_>, email: &str, address: &str, device: &str) -> Result<String, Status> {
    let request = AccountsBeginSignInRequest {
        method: Some(Method::Mail(email.to_owned())),
        device: device.to_owned(),
        address: address.to_owned(),
    };
    let begun = AccountsClient::new(town.edge.clone()).begin_sign_in(from_page(request)).await?.into_inner();
    Ok(begun.challenge)
}

async fn ask(town: &Town<'_>, email: &str) -> String {
    ask_from(town, email, "192.0.2.7").await.unwrap()
}

async fn show(
    town: &Town<'_>,
    challenge: &str,
    what: What,
    anywhere: bool,
) -> Result<AccountsSignInResponse, Status> {
    let proof = MailProof { challenge: challenge.to_owned(), what: Some(what), anywhere };
    let request = from_page(AccountsSignInRequest {
        proof: Some(Proof::Mail(proof)),
        ..AccountsSignInRequest::default()
    });
    Ok(AccountsClient::new(town.edge.clone()).sign_in(request).await?.into_inner())
}

async fn ada(town: &Town<'_>) -> Person {
    let request = PeopleCreateRequest { display_name: "Ada".to_owned(), email: "ada@example.org".to_owned() };
    town.people().create(request).await.unwrap().into_inner().person.unwrap()
}

#[tokio::test]
async fn a_link_signs_in_once_in_the_browser_that_asked() {
    let (post, core) = with_post().await;
    let town = Town::of(&core).await;
    let person = ada(&town).await;
    let challenge = ask(&town, " Ada@Example.org ").await;
    let mail = post.next().await;
    assert_eq!(mail.to, "ada@example.org");
    assert!(
        mail.text.contains(&format!("{ORIGIN}/#mail=")) && mail.text.contains("Firefox on Linux"),
        "{mail:?}"
    );
    let link = || What::Link(mail.link());
    let signed = show(&town, &challenge, link(), false).await.unwrap();
    let page = Page { edge: town.edge.clone(), token: signed.session_token };
    let me = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner();
    assert_eq!(me.principal, format!("person/{}", person.id));
    assert_eq!(code(&show(&town, &challenge, link(), false).await.unwrap_err()), Code::BadToken);
    let typed = show(&town, &challenge, What::Code(mail.code()), false).await.unwrap_err();
    assert_eq!(code(&typed), Code::BadToken, "link and code are one");
    core.audited(|row| row.detail == "mail ada@example.org").await;
}

#[tokio::test]
async fn a_link_in_another_browser_says_so_and_burns_nothing_until_the_person_goes_on() {
    let (post, core) = with_post().await;
    let town = Town::of(&core).await;
    ada(&town).await;
    ask(&town, "ada@example.org").await;
    let mail = post.next().await;
    for challenge in [String::new(), ask(&town, "nobody@example.org").await] {
        let told = show(&town, &challenge, What::Link(mail.link()), false).await.unwrap_err();
        assert_eq!(code(&told), Code::OtherBrowser);
        assert!(told.message().contains("Firefox on Linux, from 192.0.2.7"), "{told:?}");
    }
    show(&town, "", What::Link(mail.link()), true).await.unwrap();
}

#[tokio::test]
async fn an_owners_address_counts_only_once_the_owner_has_added_it() {
    let (post, core) = with_post().await;
    let town = Town::of(&core).await;
    let person = ada(&town).await;
    let challenge = ask(&town, "ada@example.org").await;
    let before = post.next().await;
    town.give(&person.id, PersonRole::Owner, everything()).await;
    let refused = show(&town, &challenge, What::Link(before.link()), false).await.unwrap_err();
    assert_eq!(code(&refused), Code::BadToken, "others may have written the address down");

    // No mail goes out that would let nobody in: the next one is what she adds herself.
    ask(&town, "ada@example.org").await;
    let page = town.sign_in(&person.id, None).await;
    let method = Some(identities_begin_add_request::Method::Mail("ada@example.org".to_owned()));
    let request = page.request(IdentitiesBeginAddRequest { method });
    let added = page.identities().begin_add(request).await.unwrap().into_inner().challenge;
    let proof = Some(identities_finish_add_request::Proof::Mail(post.next().await.code()));
    let request = page.request(IdentitiesFinishAddRequest { challenge: added, label: String::new(), proof });
    page.identities().finish_add(request).await.unwrap();
    let challenge = ask(&town, "ada@example.org").await;
    show(&town, &challenge, What::Code(post.next().await.code()), false).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_mails_that_are_asked_for_pushes_the_oldest_out_and_locks_nobody_out() {
    let (post, core) = with_post().await;
    let town = Town::of(&core).await;
    ada(&town).await;
    let mut store = core.store().await;
    let flood = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
         INSERT INTO mail_sign_ins (browser, link, code, address, device, client, expires_ms)
         SELECT randomblob(32), randomblob(32), '', 'flood', printf('%d', i), '', strftime('%s', 'now') * 1000 + 60000 + i
         FROM n";
    sqlx::query(flood).bind(limits::MAIL_SIGN_INS).execute(&mut store).await.unwrap();
    let challenge = ask(&town, "ada@example.org").await;
    let (waiting, oldest): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(*), MIN(CASE WHEN address = 'flood' THEN CAST(device AS INTEGER) END) FROM mail_sign_ins",
    )
    .fetch_one(&mut store)
    .await
    .unwrap();
    assert_eq!((waiting, oldest), (i64::from(limits::MAIL_SIGN_INS), 2));
    show(&town, &challenge, What::Code(post.next().await.code()), false).await.unwrap();
}

#[tokio::test]
async fn a_code_counts_once_and_only_in_the_browser_that_asked() {
    let (post, core) = with_post().await;
    let town = Town::of(&core).await;
    ada(&town).await;
    let challenge = ask(&town, "ada@example.org").await;
    let mail = post.next().await;
    let other = ask(&town, "ada@example.org").await;
    let second = post.next().await;
    assert_ne!(mail.code(), second.code());
    for browser in ["", &other] {
        let refused = show(&town, browser, What::Code(mail.code()), true).await.unwrap_err();
        assert_eq!(code(&refused), Code::BadToken, "{browser:?}");
    }
    show(&town, &challenge, What::Code(mail.code()), false).await.unwrap();
    let again = show(&town, &challenge, What::Code(mail.code()), false).await.unwrap_err();
    assert_eq!(code(&again), Code::BadToken);
}

#[tokio::test]
async fn five_wrong_codes_take_link_and_code_back() {
    let (post, core) = with_post().await;
    let town = Town::of(&core).await;
    ada(&town).await;
    let challenge = ask(&town, "ada@example.org").await;
    let mail = post.next().await;
    let wrong = if mail.code() == "0000 0000" { "00000001" } else { "00000000" };
    for tries in 0..limits::MAIL_CODE_TRIES {
        let refused = show(&town, &challenge, What::Code(wrong.to_owned()), false).await.unwrap_err();
        assert_eq!(code(&refused), Code::BadToken, "{tries}");
    }
    for what in [What::Code(mail.code()), What::Link(mail.link())] {
        assert_eq!(code(&show(&town, &challenge, what, true).await.unwrap_err()), Code::BadToken);
    }
}

#[tokio::test]
async fn nobody_learns_whether_an_address_is_known_and_only_those_who_have_it_get_a_mail() {
    let (post, core) = with_post().await;
    let town = Town::of(&core).await;
    let person = ada(&town).await;
    let request = PeopleCreateRequest { display_name: "Eve".to_owned(), email: "eve@example.org".to_owned() };
    let eve = town.people().create(request).await.unwrap().into_inner().person.unwrap();
    town.people().suspend(PeopleSuspendRequest { id: eve.id, suspended: true }).await.unwrap();
    for nobody in ["nobody@example.org", "eve@example.org"] {
        assert_eq!(ask(&town, nobody).await.len(), 43, "{nobody}");
    }
    ask(&town, "ada@example.org").await;
    // The queue keeps its order: had there been others, they would have come first.
    assert_eq!(post.next().await.to, "ada@example.org");
    drop(person);
    for wrong in ["", "ada", "a@b@c"] {
        assert_eq!(code(&ask_from(&town, wrong, "").await.unwrap_err()), Code::Invalid, "{wrong:?}");
    }
}

#[tokio::test]
async fn mails_are_limited_by_address_and_by_who_asks_whether_anybody_has_the_address() {
    let (_post, core) = with_post().await;
    let town = Town::of(&core).await;
    for _ in 0..limits::MAILS_PER_ADDRESS {
        ask_from(&town, "nobody@example.org", "192.0.2.1").await.unwrap();
    }
    let full = ask_from(&town, "nobody@example.org", "192.0.2.1").await.unwrap_err();
    assert_eq!(code(&full), Code::RateLimited);
    // Who asks for another's mail does not keep them from asking.
    for n in limits::MAILS_PER_ADDRESS..limits::MAILS_TO_ADDRESS {
        ask_from(&town, "nobody@example.org", &format!("198.51.100.{n}")).await.unwrap();
    }
    let full = ask_from(&town, "nobody@example.org", "192.0.2.99").await.unwrap_err();
    assert_eq!(code(&full), Code::RateLimited, "from everywhere");
    for n in 0..limits::MAILS_PER_CLIENT {
        ask_from(&town, &format!("n{n}@example.org"), &format!("2001:db8:1:2::{n}")).await.unwrap();
    }
    let full = ask_from(&town, "more@example.org", "2001:db8:1:2:ffff::1").await.unwrap_err();
    assert_eq!(code(&full), Code::RateLimited, "one subscriber");
    ask_from(&town, "more@example.org", "2001:db8:1:3::1").await.unwrap();
}

#[tokio::test]
async fn an_address_is_added_by_its_code_and_never_that_of_another_person() {
    let (post, core) = with_post().await;
    let town = Town::of(&core).await;
    ada(&town).await;
    let bob = town.person("Bob").await;
    let page = town.sign_in(&bob.id, None).await;
    let begin_add = async |address: &str| {
        let method = Some(identities_begin_add_request::Method::Mail(address.to_owned()));
        let request = page.request(IdentitiesBeginAddRequest { method });
        IdentitiesClient::new(page.edge.clone()).begin_add(request).await.unwrap().into_inner().challenge
    };
    let finish_add = async |challenge: String, code: String| {
        let proof = Some(identities_finish_add_request::Proof::Mail(code));
        let request = page.request(IdentitiesFinishAddRequest { challenge, label: String::new(), proof });
        IdentitiesClient::new(page.edge.clone()).finish_add(request).await.map(tonic::Response::into_inner)
    };
    let challenge = begin_add("bob@example.org").await;
    let mail = post.next().await;
    assert!(!mail.text.contains("#mail="), "nobody else's click adds it");
    assert_eq!(
        code(&show(&town, &challenge, What::Code(mail.code()), true).await.unwrap_err()),
        Code::BadToken
    );
    let added = finish_add(challenge, mail.code()).await.unwrap().identity.unwrap();
    assert_eq!(added.label, "bob@example.org");
    let browser = ask(&town, "bob@example.org").await;
    let mail = post.next().await;
    assert_eq!(show(&town, &browser, What::Code(mail.code()), false).await.unwrap().display_name, "Bob");

    let challenge = begin_add("ada@example.org").await;
    let mail = post.next().await;
    let refused = finish_add(challenge, mail.code()).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid, "{refused:?}");
    // And nobody is given an address that another person has added.
    let request = PeopleCreateRequest { display_name: "Eve".to_owned(), email: "bob@example.org".to_owned() };
    assert_eq!(code(&town.people().create(request).await.unwrap_err()), Code::Invalid);
}

#[tokio::test]
async fn one_person_who_adds_addresses_uses_up_no_other_persons_mails() {
    let (post, core) = with_post().await;
    let town = Town::of(&core).await;
    let (bob, eve) = (town.person("Bob").await, town.person("Eve").await);
    let (bob, eve) = (town.sign_in(&bob.id, None).await, town.sign_in(&eve.id, None).await);
    let begin_add = async |page: &Page, address: String| {
        let method = Some(identities_begin_add_request::Method::Mail(address));
        let request = page.request(IdentitiesBeginAddRequest { method });
        IdentitiesClient::new(page.edge.clone()).begin_add(request).await
    };
    for n in 0..limits::MAILS_PER_CLIENT {
        begin_add(&bob, format!("n{n}@example.org")).await.unwrap();
        post.next().await;
    }
    let full = begin_add(&bob, "more@example.org".to_owned()).await.unwrap_err();
    assert_eq!(code(&full), Code::RateLimited);
    begin_add(&eve, "more@example.org".to_owned()).await.unwrap();
    assert_eq!(post.next().await.to, "more@example.org");
}

#[tokio::test]
async fn a_mail_has_no_words_of_whoever_asked_for_it() {
    let (post, core) = with_post().await;
    let town = Town::of(&core).await;
    ada(&town).await;
    ask_with(&town, "ada@example.org", "192.0.2.7", "your code expired: https://attacker.test")
        .await
        .unwrap();
    let mail = post.next().await;
    assert!(!mail.text.contains("attacker") && mail.text.contains("not known here"), "{mail:?}");
    let told = show(&town, "", What::Link(mail.link()), false).await.unwrap_err();
    assert!(!told.message().contains("attacker"), "{told:?}");
}
