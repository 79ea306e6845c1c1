//! Lines of one or several files, checked: archives first, an export last.

use chatcode_proto::pb::AuditHead;

use crate::{Begin, Checker, Fault, Line, NoLine, head};

/// Why files are not whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// A line is none.
    #[error("line {line}: {why}")]
    NoLine {
        /// Which, from 1.
        line: u64,
        /// Why.
        why: NoLine,
    },
    /// A line stands where another one should.
    #[error("line {0} stands where it does not belong: a file is its begin, rows, and its head")]
    Order(u64),
    /// A row.
    #[error(transparent)]
    Row(#[from] Fault),
    /// The file ends without its head.
    #[error("the file ends without its signed head: it was cut off after row {0}")]
    NoHead(u64),
    /// It holds chosen rows.
    #[error("these are chosen rows, which are no chain; make an export without a filter to check it")]
    Chosen,
    /// It is of another installation.
    #[error("this file is of installation {found}, not of {expected}")]
    OtherInstallation {
        /// The installation that it is of.
        found: String,
        /// The one that it should be of.
        expected: String,
    },
    /// A signature is wrong.
    #[error("the signature of the head at row {0} is wrong: it was changed, or made up")]
    Signature(u64),
    /// Another key has signed.
    #[error("the head at row {number} is signed by the key {found}, which is not pinned")]
    OtherKey {
        /// The row.
        number: u64,
        /// The key's pin, hex.
        found: String,
    },
}

/// What a check of files has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Of which installation.
    pub installation: String,
    /// The number of the first row.
    pub first: u64,
    /// The number of the last row; one less than the first: there is none.
    pub last: u64,
    /// The head at the end.
    pub head: AuditHead,
    /// The pin of the key that has signed it.
    pub key: [u8; 32],
}

/// Checks lines as they come.
#[derive(Debug, Default)]
pub struct FileCheck {
    pins: Vec<[u8; 32]>,
    installation: Option<String>,
    kept: Vec<AuditHead>,
    checker: Option<Checker>,
    /// The line that is read; from 1.
    line: u64,
    /// A file was begun and not ended.
    is_open: bool,
    head: Option<(AuditHead, [u8; 32])>,
}

impl FileCheck {
    /// Takes heads by the keys with these pins only; none: by any, and says which.
    #[must_use]
    pub fn new(pins: Vec<[u8; 32]>) -> Self {
        Self { pins, ..Self::default() }
    }

    /// A head that was kept from earlier: what comes has to hold its row.
    ///
    /// # Errors
    /// [`FileFault`] when its signature is wrong, or of another key or installation.
    pub fn keep(&mut self, head: AuditHead) -> Result<(), FileFault> {
        self.judge(&head)?;
        self.kept.push(head);
        Ok(())
    }

    /// The next line of the file.
    ///
    /// # Errors
    /// [`FileFault`]; the check is over then.
    pub fn line(&mut self, text: &str) -> Result<(), FileFault> {
        self.line += 1;
        let line = Line::of_text(text).map_err(|why| FileFault::NoLine { line: self.line, why })?;
        match (line, self.is_open) {
            (Line::Begin(begin), false) => self.begin(begin),
            (Line::Row(row), true) => Ok(self.checker_mut()?.row(&row)?),
            (Line::Head(head), true) => {
                let key = self.judge(&head)?;
                self.checker_mut()?.ends_at(head.number, &head.hash)?;
                self.is_open = false;
                self.head = Some((head, key));
                Ok(())
            }
            _ => Err(FileFault::Order(self.line)),
        }
    }

    /// The file is at its end; another one may follow.
    ///
    /// # Errors
    /// [`FileFault::NoHead`].
    pub fn end_of_file(&mut self) -> Result<(), FileFault> {
        self.line = 0;
        match &self.checker {
            Some(checker) if self.is_open => Err(FileFault::NoHead(checker.last())),
            None => Err(FileFault::NoHead(0)),
            Some(_) => Ok(()),
        }
    }

    /// There are no more files.
    ///
    /// # Errors
    /// [`FileFault`] when a head that was kept names a later row.
    pub fn end(self) -> Result<Found, FileFault> {
        let (Some(checker), Some((head, key))) = (self.checker, self.head) else {
            return Err(FileFault::NoHead(0));
        };
        checker.end()?;
        let installation = head.installation.clone();
        Ok(Found { installation, first: checker.first(), last: checker.last(), head, key })
    }

    fn begin(&mut self, begin: Begin) -> Result<(), FileFault> {
        if begin.chosen {
            return Err(FileFault::Chosen);
        }
        self.belongs(&begin.installation)?;
        self.is_open = true;
        match &self.checker {
            None => {
                let mut checker = Checker::new(begin.first, &begin.previous);
                self.kept.iter().try_for_each(|head| checker.keep(head))?;
                self.checker = Some(checker);
            }
            // Goes on where the file before has ended.
            Some(checker) => {
                let expected = checker.last() + 1;
                if begin.first > expected {
                    return Err(Fault::Missing { first: expected, last: begin.first - 1 }.into());
                }
                if begin.first < expected {
                    return Err(Fault::OutOfPlace { number: begin.first, expected }.into());
                }
                checker.ends_at(begin.first - 1, &begin.previous)?;
            }
        }
        Ok(())
    }

    fn checker_mut(&mut self) -> Result<&mut Checker, FileFault> {
        self.checker.as_mut().ok_or(FileFault::Order(self.line))
    }

    /// The pin of the key that has signed a head of this installation.
    fn judge(&mut self, head: &AuditHead) -> Result<[u8; 32], FileFault> {
        self.belongs(&head.installation)?;
        let pin = head::signer(head).ok_or(FileFault::Signature(head.number))?.pin();
        if self.pins.is_empty() || self.pins.contains(&pin) {
            return Ok(pin);
        }
        Err(FileFault::OtherKey { number: head.number, found: crate::hex(&pin) })
    }

    fn belongs(&mut self, installation: &str) -> Result<(), FileFault> {
        let expected = self.installation.get_or_insert_with(|| installation.to_owned());
        if expected == installation {
            return Ok(());
        }
        Err(FileFault::OtherInstallation { found: installation.to_owned(), expected: expected.clone() })
    }
}

#[cfg(test)]
mod tests {
    use chatcode_certs::AuditKey;
    use chatcode_proto::pb::AuditRow;

    use super::*;
    use crate::check::tests::rows;

    const HERE: &str = "0123abcd";

    fn key() -> AuditKey {
        let folder = tempfile::tempdir().unwrap();
        AuditKey::open_or_create(&folder.path().join("head.key")).unwrap().0
    }

    fn file(key: &AuditKey, previous: &[u8], rows: &[AuditRow]) -> Vec<String> {
        let begin = Begin {
            installation: HERE.to_owned(),
            first: rows[0].number,
            previous: previous.to_vec(),
            chosen: false,
        };
        let last = rows.last().unwrap();
        let head = head::sign(key, HERE, (last.number, &last.hash), 77).unwrap();
        let lines = [Line::Begin(begin)].into_iter();
        let lines = lines.chain(rows.iter().cloned().map(Line::Row)).chain([Line::Head(head)]);
        lines.map(|line| line.to_text().unwrap()).collect()
    }

    fn check(mut check: FileCheck, files: &[Vec<String>]) -> Result<Found, FileFault> {
        for file in files {
            file.iter().try_for_each(|line| check.line(line))?;
            check.end_of_file()?;
        }
        check.end()
    }

    #[test]
    fn an_export_and_the_archives_before_it_are_one_chain() {
        let key = key();
        let all = rows(1, 9, &[]);
        let archive = file(&key, &[], &all[..4]);
        let export = file(&key, &all[3].hash, &all[4..]);
        let pinned = || FileCheck::new(vec![key.public().pin()]);
        let found = check(pinned(), &[archive.clone(), export.clone()]).unwrap();
        assert_eq!((found.first, found.last, found.key), (1, 9, key.public().pin()));
        assert_eq!((found.installation.as_str(), found.head.unix_ms), (HERE, 77));
        assert_eq!(check(pinned(), std::slice::from_ref(&export)).unwrap().first, 5);
        let order = check(pinned(), &[export.clone(), archive.clone()]).unwrap_err();
        assert_eq!(order, Fault::OutOfPlace { number: 1, expected: 10 }.into());
        let later = file(&key, &all[5].hash, &all[6..]);
        let gap = check(pinned(), &[archive.clone(), later]).unwrap_err();
        assert_eq!(gap, Fault::Missing { first: 5, last: 6 }.into());
        let foreign = file(&key, &[9; 32], &rows(5, 3, &[9; 32]));
        assert_eq!(check(pinned(), &[archive, foreign]).unwrap_err(), Fault::Rewritten(4).into());
    }

    #[test]
    fn a_file_without_its_end_with_a_wrong_key_or_for_reading_only_is_refused() {
        let (key, other) = (key(), key());
        let all = rows(1, 5, &[]);
        let whole = file(&key, &[], &all);
        let any = FileCheck::default;
        assert!(check(any(), std::slice::from_ref(&whole)).is_ok());
        assert_eq!(check(any(), &[whole[..4].to_vec()]).unwrap_err(), FileFault::NoHead(3));
        assert_eq!(check(any(), &[vec![]]).unwrap_err(), FileFault::NoHead(0));
        // Rows cut away before the head, which tells of more.
        let mut cut = whole.clone();
        cut.remove(5);
        assert_eq!(check(any(), &[cut]).unwrap_err(), Fault::Cut { last: 4, number: 5 }.into());
        let pinned = FileCheck::new(vec![other.public().pin()]);
        let refused = check(pinned, std::slice::from_ref(&whole)).unwrap_err();
        assert!(matches!(refused, FileFault::OtherKey { number: 5, .. }), "{refused:?}");
        let mut forged = whole.clone();
        forged[6] = forged[6].replace("\"unix_ms\":77", "\"unix_ms\":78");
        assert_eq!(check(any(), &[forged]).unwrap_err(), FileFault::Signature(5));
        let mut chosen = whole.clone();
        chosen[0] = chosen[0].replace("\"chosen\":false", "\"chosen\":true");
        assert_eq!(check(any(), &[chosen]).unwrap_err(), FileFault::Chosen);
        let mut twice = whole.clone();
        twice.insert(1, whole[0].clone());
        assert_eq!(check(any(), &[twice]).unwrap_err(), FileFault::Order(2));
        let mut garbage = whole;
        garbage[2] = "{}".to_owned();
        let refused = check(any(), &[garbage]).unwrap_err();
        assert_eq!(refused, FileFault::NoLine { line: 3, why: NoLine::Form });
    }

    #[test]
    fn an_older_export_proves_that_a_later_one_was_cut_or_made_up() {
        let key = key();
        let all = rows(1, 9, &[]);
        let older = head::sign(&key, HERE, (7, &all[6].hash), 5).unwrap();
        let against = |files: &[Vec<String>]| {
            let mut new = FileCheck::new(vec![key.public().pin()]);
            new.keep(older.clone())?;
            check(new, files)
        };
        assert!(against(&[file(&key, &[], &all)]).is_ok());
        let cut = against(&[file(&key, &[], &all[..5])]).unwrap_err();
        assert_eq!(cut, Fault::Cut { last: 5, number: 7 }.into());
        let mut made_up = all[..7].to_vec();
        made_up[6].peer = "x".to_owned();
        made_up[6].hash = crate::chained(&made_up[5].hash, &made_up[6]).to_vec().into();
        let refused = against(&[file(&key, &[], &made_up)]).unwrap_err();
        assert_eq!(refused, Fault::Rewritten(7).into());
        let elsewhere = head::sign(&key, "ffffffff", (7, &all[6].hash), 5).unwrap();
        let mut new = FileCheck::default();
        new.keep(elsewhere).unwrap();
        let refused = check(new, &[file(&key, &[], &all)]).unwrap_err();
        assert!(matches!(refused, FileFault::OtherInstallation { .. }), "{refused:?}");
    }
}
