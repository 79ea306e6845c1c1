//! Rows one after the other, until one is not as it was written.

use std::collections::BTreeMap;

use chatcode_proto::pb::{AuditHead, AuditRow};

use crate::chained;

/// The first row that is not as it was written, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its hash does not fit its fields and the row before.
    #[error("row {0} is changed: its hash does not fit what it says and the row before it")]
    Changed(u64),
    /// Rows are not there.
    #[error("rows {first} to {last} are missing")]
    Missing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// A row stands where another one should.
    #[error("row {number} is out of place: row {expected} should be there")]
    OutOfPlace {
        /// The row that is there.
        number: u64,
        /// The one that should be.
        expected: u64,
    },
    /// Rows at the end are not there any more.
    #[error("the end was cut off: row {last} is the last, and the head says that there was a row {number}")]
    Cut {
        /// The last row that is there.
        last: u64,
        /// The row that a head names.
        number: u64,
    },
    /// Another row has the number now: everything from there may be made up.
    #[error("row {0} is another one than the head names: rows were written anew")]
    Rewritten(u64),
    /// There are rows behind the head, which nobody vouches for.
    #[error("row {0} stands behind the head")]
    TooMany(u64),
}

impl Fault {
    /// The number of the first row that is not as it was written.
    #[must_use]
    pub const fn row(&self) -> u64 {
        match self {
            Self::Changed(number) | Self::Rewritten(number) | Self::TooMany(number) => *number,
            Self::Missing { first, .. } => *first,
            Self::OutOfPlace { expected, .. } => *expected,
            Self::Cut { last, .. } => *last + 1,
        }
    }
}

/// Checks rows in their order, against each other and against heads that were kept.
#[derive(Clone, Debug)]
pub struct Checker {
    first: u64,
    last: u64,
    hash: Vec<u8>,
    kept: BTreeMap<u64, Vec<u8>>,
}

impl Checker {
    /// Begins before the row `first`; `previous` is the hash of the row before that
    /// one, empty when it is the first of all.
    #[must_use]
    pub fn new(first: u64, previous: &[u8]) -> Self {
        let first = first.max(1);
        Self { first, last: first - 1, hash: previous.to_vec(), kept: BTreeMap::new() }
    }

    /// A head that somebody has kept, with a signature that was checked: the chain
    /// has to have its row. One of a row before the first cannot be compared.
    ///
    /// # Errors
    /// [`Fault::Rewritten`] when another head names another row of this number, or
    /// the row is the one before the first and another one.
    pub fn keep(&mut self, head: &AuditHead) -> Result<(), Fault> {
        if head.number == self.last && head.hash != self.hash {
            return Err(Fault::Rewritten(head.number));
        }
        if head.number > self.last
            && let Some(other) = self.kept.insert(head.number, head.hash.to_vec())
            && other != head.hash
        {
            return Err(Fault::Rewritten(head.number));
        }
        Ok(())
    }

    /// The next row.
    ///
    /// # Errors
    /// [`Fault`]; the check is over then.
    pub fn row(&mut self, row: &AuditRow) -> Result<(), Fault> {
        let expected = self.last + 1;
        if row.number > expected {
            return Err(Fault::Missing { first: expected, last: row.number - 1 });
        }
        if row.number < expected {
            return Err(Fault::OutOfPlace { number: row.number, expected });
        }
        if row.hash != chained(&self.hash, row)[..] {
            return Err(Fault::Changed(row.number));
        }
        if self.kept.get(&row.number).is_some_and(|kept| *kept != row.hash) {
            return Err(Fault::Rewritten(row.number));
        }
        self.last = row.number;
        self.hash = row.hash.to_vec();
        Ok(())
    }

    /// The head that stands at this end: the last row has to be the one that it
    /// names.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn ends_at(&self, number: u64, hash: &[u8]) -> Result<(), Fault> {
        if number > self.last {
            return Err(Fault::Cut { last: self.last, number });
        }
        if number < self.last {
            return Err(Fault::TooMany(number + 1));
        }
        if hash == self.hash { Ok(()) } else { Err(Fault::Rewritten(number)) }
    }

    /// There are no more rows.
    ///
    /// # Errors
    /// [`Fault::Cut`] when a head that was kept names a later one.
    pub fn end(&self) -> Result<(), Fault> {
        match self.kept.range(self.last + 1..).next_back() {
            Some((number, _)) => Err(Fault::Cut { last: self.last, number: *number }),
            None => Ok(()),
        }
    }

    /// The number of the first row that there was, or would have been.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The number of the last row so far; one less than the first: none yet.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The hash of the last row so far.
    #[must_use]
    pub fn hash(&self) -> &[u8] {
        &self.hash
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Rows from `first` on, chained.
    pub(crate) fn rows(first: u64, count: u64, previous: &[u8]) -> Vec<AuditRow> {
        let mut hash = previous.to_vec();
        (first..first + count)
            .map(|number| {
                let mut row = AuditRow {
                    number,
                    unix_ms: number * 10,
                    principal: "somebody".to_owned(),
                    action: format!("act {number}"),
                    result: 1,
                    ..AuditRow::default()
                };
                row.hash = chained(&hash, &row).to_vec().into();
                hash = row.hash.to_vec();
                row
            })
            .collect()
    }

    fn check(rows: &[AuditRow]) -> Result<Checker, Fault> {
        let mut checker = Checker::new(1, &[]);
        rows.iter().try_for_each(|row| checker.row(row))?;
        Ok(checker)
    }

    fn head(row: &AuditRow) -> AuditHead {
        AuditHead { number: row.number, hash: row.hash.clone(), ..AuditHead::default() }
    }

    #[test]
    fn the_first_row_that_is_not_as_it_was_written_is_named_with_what_is_wrong() {
        let whole = rows(1, 9, &[]);
        assert_eq!(check(&whole).map(|checker| checker.last()), Ok(9));
        let altered = |alter: &dyn Fn(&mut Vec<AuditRow>)| {
            let mut rows = whole.clone();
            alter(&mut rows);
            check(&rows).unwrap_err()
        };
        assert_eq!(altered(&|rows| rows[3].detail = "x".to_owned()), Fault::Changed(4));
        assert_eq!(altered(&|rows| rows[3].result = 7), Fault::Changed(4));
        assert_eq!(altered(&|rows| drop(rows.remove(1))), Fault::Missing { first: 2, last: 2 });
        assert_eq!(altered(&|rows| drop(rows.drain(2..5))), Fault::Missing { first: 3, last: 5 });
        assert_eq!(altered(&|rows| rows.swap(4, 5)), Fault::Missing { first: 5, last: 5 });
        let twice = altered(&|rows| rows.insert(6, rows[5].clone()));
        assert_eq!(twice, Fault::OutOfPlace { number: 6, expected: 7 });
        // One row changed, with its own hash made to fit.
        let mended = altered(&|rows| {
            rows[3].detail = "x".to_owned();
            rows[3].hash = chained(&rows[2].hash.clone(), &rows[3]).to_vec().into();
        });
        assert_eq!(mended, Fault::Changed(5));
    }

    #[test]
    fn a_kept_head_shows_a_cut_end_and_a_chain_that_was_made_anew() {
        let whole = rows(1, 9, &[]);
        let against = |kept: &AuditHead, rows: &[AuditRow]| {
            let mut checker = Checker::new(1, &[]);
            checker.keep(kept)?;
            rows.iter().try_for_each(|row| checker.row(row))?;
            checker.end()
        };
        assert_eq!(against(&head(&whole[8]), &whole), Ok(()));
        assert_eq!(against(&head(&whole[4]), &whole), Ok(()));
        assert_eq!(against(&head(&whole[8]), &whole[..6]), Err(Fault::Cut { last: 6, number: 9 }));
        let other = {
            let mut other = whole[4].clone();
            other.detail = "another".to_owned();
            other.hash = chained(&whole[3].hash, &other).to_vec().into();
            other
        };
        let anew = [&whole[..4], &[other]].concat();
        assert!(check(&anew).is_ok(), "it is a chain of its own");
        assert_eq!(against(&head(&whole[4]), &anew), Err(Fault::Rewritten(5)));
    }

    #[test]
    fn a_chain_goes_on_where_an_archive_ends() {
        let whole = rows(1, 9, &[]);
        let mut checker = Checker::new(5, &whole[3].hash);
        assert_eq!(checker.keep(&head(&whole[3])), Ok(()));
        assert_eq!(checker.keep(&head(&whole[1])), Ok(()), "cannot be compared");
        whole[4..].iter().try_for_each(|row| checker.row(row)).expect("is whole");
        assert_eq!(checker.ends_at(9, &whole[8].hash), Ok(()));
        assert_eq!(checker.ends_at(12, &[1]), Err(Fault::Cut { last: 9, number: 12 }));
        assert_eq!(checker.ends_at(8, &whole[7].hash), Err(Fault::TooMany(9)));
        assert_eq!(checker.ends_at(9, &whole[7].hash), Err(Fault::Rewritten(9)));
        let mut other = Checker::new(5, &whole[2].hash);
        assert_eq!(other.row(&whole[4]), Err(Fault::Changed(5)));
        assert_eq!(other.keep(&head(&whole[3])), Err(Fault::Rewritten(4)));
    }
}
