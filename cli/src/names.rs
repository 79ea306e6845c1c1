//! Which machine or session a person means: by id, by the only name, or by the
//! only beginning of an id.

use crate::print::shown;

/// Nothing, or more than one thing, goes by that name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// Nothing has this id or name.
    #[error("no {what} is called {wanted}; `chatcode {list}` shows what there is")]
    Unknown { what: &'static str, wanted: String, list: &'static str },
    /// Several do.
    #[error("{wanted} may mean {}; say the id", ids.join(", "))]
    Ambiguous { wanted: String, ids: Vec<String> },
}

/// A kind of thing that people name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// "session", "gateway".
    pub(crate) what: &'static str,
    /// The command that lists them.
    pub(crate) list: &'static str,
}

/// Characters of an id's beginning below which it is not looked at: shorter
/// ones are names that people mistyped.
const PREFIX_CHARS: usize = 4;

/// Whether an id and a name are meant.
type Matches<'a> = &'a dyn Fn(&str, &str) -> bool;

impl Kind {
    /// The one item that `wanted` names. A whole id wins over names, a name over
    /// the beginning of an id. `key` gives the id and the name of an item.
    ///
    /// # Errors
    /// [`NameError`].
    pub(crate) fn pick<'a, T>(
        self,
        wanted: &str,
        items: &'a [T],
        key: impl Fn(&'a T) -> (&'a str, &'a str),
    ) -> Result<&'a T, NameError> {
        let by = |matches: Matches<'_>| -> Vec<&'a T> {
            items
                .iter()
                .filter(|item| {
                    let (id, name) = key(item);
                    matches(id, name)
                })
                .collect()
        };
        let is_beginning = |id: &str, _: &str| wanted.len() >= PREFIX_CHARS && id.starts_with(wanted);
        let steps: [Matches<'_>; 3] = [&|id, _| id == wanted, &|_, name| name == wanted, &is_beginning];
        for matches in steps {
            match by(matches).as_slice() {
                [] => {}
                [one] => return Ok(one),
                several => {
                    let ids = several.iter().map(|item| shown(key(item).0)).collect();
                    return Err(NameError::Ambiguous { wanted: shown(wanted), ids });
                }
            }
        }
        Err(NameError::Unknown { what: self.what, wanted: shown(wanted), list: self.list })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { what: "session", list: "ls" };
    const ITEMS: [(&str, &str); 4] =
        [("aaaa1111", "build"), ("aaaa2222", "test"), ("bbbb3333", "test"), ("cccc4444", "aaaa1111")];

    fn pick(wanted: &str) -> Result<&'static str, NameError> {
        KIND.pick(wanted, &ITEMS, |item| *item).map(|item| item.0)
    }

    #[test]
    fn an_id_its_beginning_and_an_only_name_lead_to_the_thing() {
        assert_eq!(pick("bbbb3333"), Ok("bbbb3333"));
        assert_eq!(pick("bbbb"), Ok("bbbb3333"));
        assert_eq!(pick("build"), Ok("aaaa1111"));
    }

    #[test]
    fn a_whole_id_wins_over_a_name_that_looks_like_it() {
        assert_eq!(pick("aaaa1111"), Ok("aaaa1111"));
    }

    #[test]
    fn what_may_mean_several_is_never_guessed() {
        let error = pick("test").unwrap_err();
        assert_eq!(error.to_string(), "test may mean aaaa2222, bbbb3333; say the id");
        assert!(matches!(pick("aaaa"), Err(NameError::Ambiguous { .. })));
    }

    #[test]
    fn unknown_and_too_short_words_name_nothing() {
        for wanted in ["", "b", "bbb", "zzzz"] {
            assert!(matches!(pick(wanted), Err(NameError::Unknown { .. })), "{wanted:?}");
        }
    }
}
