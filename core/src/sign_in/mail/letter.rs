//! What a sign-in mail says. Pure.

use std::fmt::Write as _;

use zeroize::Zeroizing;

/// One mail that somebody asked for.
#[derive(Debug)]
pub struct Letter {
    /// Whom it goes to.
    pub to: String,
    /// Opens the page that asks for a click.
    pub link: Zeroizing<String>,
    /// For the browser that asked.
    pub code: Zeroizing<String>,
    /// The browser that asked, in words of ours.
    pub device: String,
    /// The page's origin.
    pub origin: String,
    /// What it lets the person do.
    pub reason: Reason,
}

/// What a mail is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// To sign in.
    SignIn,
    /// To be able to sign in by this address from now on; has no link, so that
    /// nobody else's click adds it.
    Add,
}

impl Letter {
    /// The line that a list of mails shows.
    pub(super) const fn subject(&self) -> &'static str {
        match self.reason {
            Reason::SignIn => "Sign in to chatcode",
            Reason::Add => "Add this address to chatcode",
        }
    }

    /// The mail for those who read plain text.
    pub(super) fn plain(&self) -> Zeroizing<String> {
        let (code, device, origin) = (spaced(&self.code), &self.device, &self.origin);
        Zeroizing::new(match self.reason {
            Reason::SignIn => format!(
                "Somebody, most likely you, asked to sign in to {origin} with this address.\r\n\r\n\
                 Open this link and press the button there:\r\n\r\n{}\r\n\r\n\
                 Or type this code in the browser that asked ({device}):\r\n\r\n    {code}\r\n\r\n{}",
                *self.link, ENDING
            ),
            Reason::Add => format!(
                "Somebody, most likely you, wants to sign in to {origin} with this address from now on.\r\n\r\n\
                 Type this code in the browser that asked ({device}):\r\n\r\n    {code}\r\n\r\n{ENDING}"
            ),
        })
    }

    /// The same for those who do not: no picture, nothing that is fetched.
    pub(super) fn html(&self) -> Zeroizing<String> {
        let (code, device, origin) = (spaced(&self.code), escaped(&self.device), escaped(&self.origin));
        let ending = escaped(&ENDING.replace("\r\n", " "));
        let way = match self.reason {
            Reason::SignIn => format!(
                "<p>Somebody, most likely you, asked to sign in to <b>{origin}</b> with this address.</p>\r\n\
                 <p><a href=\"{}\">Sign in</a> and press the button there.</p>\r\n\
                 <p>Or type this code in the browser that asked ({device}):</p>\r\n",
                escaped(&self.link)
            ),
            Reason::Add => format!(
                "<p>Somebody, most likely you, wants to sign in to <b>{origin}</b> with this address from now \
                 on.</p>\r\n<p>Type this code in the browser that asked ({device}):</p>\r\n"
            ),
        };
        Zeroizing::new(format!(
            "<!doctype html>\r\n<html lang=\"en\"><body style=\"font-family: sans-serif\">\r\n{way}\
             <p style=\"font-family: monospace; font-size: 150%\">{code}</p>\r\n<p>{ending}</p>\r\n\
             </body></html>\r\n"
        ))
    }
}

const ENDING: &str = "Both work once and for ten minutes. Never tell them to anybody: nobody of us asks for them.\r\n\
                      If it was not you, do nothing.\r\n";

/// The code in two halves, as people read it.
fn spaced(code: &str) -> String {
    let (first, second) = code.split_at(code.len() / 2);
    format!("{first} {second}")
}

/// The text inside HTML.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '<' | '>' | '&' | '"' | '\'' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(reason: Reason) -> Letter {
        Letter {
            to: "ada@example.org".to_owned(),
            link: "https://c.example/#mail=SECRET".to_owned().into(),
            code: "12345678".to_owned().into(),
            device: "<b>Firefox</b> on \"Linux\"".to_owned(),
            origin: "https://c.example".to_owned(),
            reason,
        }
    }

    #[test]
    fn both_forms_have_link_and_code_and_the_browser_cannot_write_html() {
        let letter = letter(Reason::SignIn);
        for text in [letter.plain(), letter.html()] {
            assert!(
                text.contains("https://c.example/#mail=SECRET") && text.contains("1234 5678"),
                "{}",
                *text
            );
        }
        assert!(!letter.html().contains("<b>Firefox"));
        assert!(!letter.html().contains("http-equiv") && !letter.html().contains("src="));
    }

    #[test]
    fn a_mail_that_adds_an_address_has_no_link() {
        let letter = letter(Reason::Add);
        for text in [letter.plain(), letter.html()] {
            assert!(text.contains("1234 5678") && !text.contains("#mail="), "{}", *text);
        }
    }
}
