//! A queue that is full, and a mail server that does not answer.

use std::net::TcpListener;

use zeroize::Zeroizing;

use super::*;

fn mailer(port: u16) -> Mailer {
    let config = MailConfig {
        server: "127.0.0.1".to_owned(),
        port: Some(port),
        tls: MailTls::None,
        user: None,
        password_file: None,
        from: "chatcode@example.org".to_owned(),
    };
    Mailer::open(&config).expect("a mailer")
}

fn letter() -> Letter {
    Letter {
        to: "ada@example.org".to_owned(),
        link: Zeroizing::default(),
        code: Zeroizing::default(),
        device: String::new(),
        origin: String::new(),
        reason: Reason::Add,
    }
}

#[tokio::test]
async fn one_mail_more_than_may_wait_is_refused_with_limit_until_another_has_left() {
    let mailer = mailer(1);
    for _ in 1..limits::MAILS_WAITING {
        mailer.place().expect("has room").put(letter());
    }
    let last = mailer.place().expect("has room");
    assert_eq!(mailer.place().expect_err("is full").code, Code::Limit, "also while a place is only held");
    drop(last);
    mailer.place().expect("has room").put(letter());
    assert_eq!(mailer.place().expect_err("is full").code, Code::Limit);
    mailer.waiting.lock().await.recv().await.expect("waits");
    mailer.place().expect("has room");
}

#[tokio::test]
async fn a_mail_server_that_does_not_answer_in_time_is_tried_once_more_and_then_left() {
    // The kernel takes connections; nobody ever speaks on them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    silent.set_nonblocking(true).expect("a socket");
    let port = silent.local_addr().expect("is bound").port();
    let mailer = Mailer { patience: Duration::from_millis(100), ..mailer(port) };
    let letter = letter();
    let sending = mailer.send(&letter);
    timeout(limits::MAIL_SEND, sending).await.expect("is left long before the usual time");
    let tries = std::iter::from_fn(|| silent.accept().ok()).count();
    assert_eq!(tries, 2);
}
