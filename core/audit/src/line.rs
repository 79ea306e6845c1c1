//! Rows as JSON lines: the begin, each row, the head. The same in an export, in an
//! archive, and from the page. docs/audit.md describes each field.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chatcode_proto::pb::{AuditExportBegin, AuditHead, AuditRow, Code};
use serde::{Deserialize, Serialize};

use crate::{hex, unhex};

/// The version of these lines.
pub const LINES: u32 = 1;

/// The prefix of the methods of the contract.
const METHODS: &str = "/chatcode.v1.";

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// What the rows are; the first line.
    Begin(Begin),
    /// A row.
    Row(AuditRow),
    /// The signed head; the last line.
    Head(AuditHead),
}

/// What the rows of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Of which installation: 8 lower-case hex digits.
    pub installation: String,
    /// The number of the first row that there may be.
    pub first: u64,
    /// The hash of the row before it; empty: that is the first of all.
    pub previous: Vec<u8>,
    /// Only chosen rows follow, which are no chain.
    pub chosen: bool,
}

impl From<AuditExportBegin> for Begin {
    fn from(begin: AuditExportBegin) -> Self {
        let AuditExportBegin { installation, first, previous, chosen } = begin;
        Self { installation, first, previous: previous.to_vec(), chosen }
    }
}

/// A line is none of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLine {
    /// It has another form.
    #[error("it is no line of an audit")]
    Form,
    /// It is of a newer program.
    #[error("it is of a newer version ({0}); use a newer chatcode")]
    Newer(u32),
    /// The word of a result is not that of its number.
    #[error("the result of row {0} is not the word for its code")]
    Result(u64),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Begin(WrittenBegin),
    Head { head: WrittenHead },
    Row(WrittenRow),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBegin {
    chatcode_audit: u32,
    installation: String,
    first: u64,
    previous: String,
    chosen: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRow {
    number: u64,
    unix_ms: u64,
    principal: String,
    action: String,
    gateway: String,
    session: String,
    result: String,
    code: i32,
    request_id: String,
    peer: String,
    detail: String,
    hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHead {
    installation: String,
    number: u64,
    hash: String,
    unix_ms: u64,
    key: String,
    signature: String,
}

impl Line {
    /// The line, without an end of line.
    ///
    /// # Errors
    /// Never for lines that there are.
    pub fn to_text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// What [`Self::to_text`] made.
    ///
    /// # Errors
    /// [`NoLine`].
    pub fn of_text(text: &str) -> Result<Self, NoLine> {
        match serde_json::from_str(text).map_err(|_| NoLine::Form)? {
            Written::Begin(begin) => begin.read(),
            Written::Head { head } => head.read(),
            Written::Row(row) => row.read(),
        }
    }
}

impl Serialize for Line {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Begin(begin) => Written::Begin(WrittenBegin {
                chatcode_audit: LINES,
                installation: begin.installation.clone(),
                first: begin.first,
                previous: hex(&begin.previous),
                chosen: begin.chosen,
            }),
            Self::Row(row) => Written::Row(WrittenRow {
                number: row.number,
                unix_ms: row.unix_ms,
                principal: row.principal.clone(),
                action: row.action.clone(),
                gateway: row.gateway.clone(),
                session: row.session.clone(),
                result: result_word(row.result),
                code: row.result,
                request_id: row.request_id.clone(),
                peer: row.peer.clone(),
                detail: row.detail.clone(),
                hash: hex(&row.hash),
            }),
            Self::Head(head) => Written::Head {
                head: WrittenHead {
                    installation: head.installation.clone(),
                    number: head.number,
                    hash: hex(&head.hash),
                    unix_ms: head.unix_ms,
                    key: STANDARD.encode(&head.key),
                    signature: STANDARD.encode(&head.signature),
                },
            },
        }
        .serialize(serializer)
    }
}

impl WrittenBegin {
    fn read(self) -> Result<Line, NoLine> {
        if self.chatcode_audit != LINES {
            return Err(NoLine::Newer(self.chatcode_audit));
        }
        Ok(Line::Begin(Begin {
            installation: self.installation,
            first: self.first,
            previous: unhex(&self.previous).ok_or(NoLine::Form)?,
            chosen: self.chosen,
        }))
    }
}

impl WrittenRow {
    fn read(self) -> Result<Line, NoLine> {
        // The hash is over the number; people read the word.
        if Code::try_from(self.code).is_ok() && result_word(self.code) != self.result {
            return Err(NoLine::Result(self.number));
        }
        Ok(Line::Row(AuditRow {
            number: self.number,
            unix_ms: self.unix_ms,
            principal: self.principal,
            action: self.action,
            gateway: self.gateway,
            session: self.session,
            result: self.code,
            request_id: self.request_id,
            peer: self.peer,
            detail: self.detail,
            hash: unhex(&self.hash).ok_or(NoLine::Form)?.into(),
        }))
    }
}

impl WrittenHead {
    fn read(self) -> Result<Line, NoLine> {
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| NoLine::Form);
        Ok(Line::Head(AuditHead {
            installation: self.installation,
            number: self.number,
            hash: unhex(&self.hash).ok_or(NoLine::Form)?.into(),
            unix_ms: self.unix_ms,
            key: bytes(&self.key)?.into(),
            signature: bytes(&self.signature)?.into(),
        }))
    }
}

/// The word for a result: "let_in" for a call whose end is not known, else the name
/// of its code.
#[must_use]
pub fn result_word(code: i32) -> String {
    match Code::try_from(code) {
        Ok(Code::Unspecified) => "let_in".to_owned(),
        Ok(code) => code.name().to_owned(),
        Err(_) => format!("code_{code}"),
    }
}

/// An action as people read it: a method without its package.
#[must_use]
pub fn action_word(action: &str) -> &str {
    action.strip_prefix(METHODS).unwrap_or(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> AuditRow {
        AuditRow {
            number: 3,
            unix_ms: 4,
            principal: "person/p".to_owned(),
            action: "/chatcode.v1.Fleet/Revoke".to_owned(),
            gateway: "g".to_owned(),
            session: "s".to_owned(),
            result: Code::Forbidden.into(),
            request_id: "r".to_owned(),
            peer: "[::1]:5".to_owned(),
            detail: "a \"b\"\n\u{1b}\u{202e}ü".to_owned(),
            hash: vec![0xab; 32].into(),
        }
    }

    #[test]
    fn every_line_leads_back_to_what_it_says() {
        let begin =
            Begin { installation: "0123abcd".to_owned(), first: 3, previous: vec![1; 32], chosen: false };
        let head = AuditHead {
            installation: "0123abcd".to_owned(),
            number: 3,
            hash: vec![2; 32].into(),
            unix_ms: 5,
            key: vec![3; 91].into(),
            signature: vec![4; 70].into(),
        };
        for line in [Line::Begin(begin), Line::Row(row()), Line::Head(head)] {
            let text = line.to_text().unwrap();
            assert!(!text.contains('\n'), "{text}");
            assert_eq!(Line::of_text(&text), Ok(line));
        }
    }

    /// The page writes the same (edge/web/src/audit/audit.test.ts).
    #[test]
    fn a_line_is_written_in_one_way_only() {
        let row = Line::Row(AuditRow { detail: "a \"b\" ü".to_owned(), ..row() });
        let hash = "ab".repeat(32);
        let expected = format!(
            r#"{{"number":3,"unix_ms":4,"principal":"person/p","action":"/chatcode.v1.Fleet/Revoke","gateway":"g","session":"s","result":"forbidden","code":7,"request_id":"r","peer":"[::1]:5","detail":"a \"b\" ü","hash":"{hash}"}}"#
        );
        assert_eq!(row.to_text().unwrap(), expected);
    }

    #[test]
    fn a_line_with_more_less_or_another_word_is_none() {
        let text = Line::Row(row()).to_text().unwrap();
        let with = |from: &str, to: &str| {
            let changed = text.replace(from, to);
            assert_ne!(changed, text);
            Line::of_text(&changed).unwrap_err()
        };
        assert_eq!(with("\"forbidden\"", "\"done\""), NoLine::Result(3));
        assert_eq!(with("{\"number\"", "{\"note\":1,\"number\""), NoLine::Form);
        assert_eq!(with("{\"number\":3", "{\"number\":3,\"number\":4"), NoLine::Form);
        assert_eq!(with(",\"peer\":\"[::1]:5\"", ""), NoLine::Form);
        assert_eq!(with("abab", "xyxy"), NoLine::Form);
        let newer =
            "{\"chatcode_audit\":2,\"installation\":\"\",\"first\":1,\"previous\":\"\",\"chosen\":false}";
        assert_eq!(Line::of_text(newer), Err(NoLine::Newer(2)));
        for text in ["", "{}", "[]", "null", "{\"head\":{}}"] {
            assert_eq!(Line::of_text(text), Err(NoLine::Form), "{text:?}");
        }
    }

    #[test]
    fn a_result_that_this_program_does_not_know_is_told_by_its_number() {
        let text = Line::Row(AuditRow { result: 9999, ..row() }).to_text().unwrap();
        assert!(text.contains("code_9999"), "{text}");
        let newer = text.replace("code_9999", "a_later_word");
        assert!(matches!(Line::of_text(&newer), Ok(Line::Row(row)) if row.result == 9999));
        assert_eq!(result_word(0), "let_in");
    }
}
