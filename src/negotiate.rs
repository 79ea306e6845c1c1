//! How two ends agree on a version and on features in their first messages.

use crate::{code::Refusal, limits, pb::Code};

/// The highest of our versions that the peer speaks too.
///
/// # Errors
/// `INVALID` when the peer names none or too many, `UNSUPPORTED_VERSION` when
/// none is common; the message names both lists.
pub fn version(what: &str, ours: &[u32], theirs: &[u32]) -> Result<u32, Refusal> {
    if theirs.is_empty() || theirs.len() > limits::VERSIONS {
        return Err(Refusal::new(
            Code::Invalid,
            format!("the first message of the {what} must name 1 to {} versions", limits::VERSIONS),
        ));
    }
    ours.iter().copied().filter(|v| theirs.contains(v)).max().ok_or_else(|| {
        Refusal::new(
            Code::UnsupportedVersion,
            format!("no common version of the {what}: the peer speaks {theirs:?}, this program {ours:?}; update the older one"),
        )
    })
}

/// The features that both ends have, in our order.
///
/// # Errors
/// `INVALID` when the peer names too many or too long ones.
pub fn features(ours: &[&str], theirs: &[String]) -> Result<Vec<String>, Refusal> {
    if theirs.len() > limits::FEATURES || theirs.iter().any(|f| f.len() > limits::FEATURE_BYTES) {
        return Err(Refusal::new(
            Code::Invalid,
            format!("at most {} features of at most {} bytes", limits::FEATURES, limits::FEATURE_BYTES),
        ));
    }
    Ok(ours.iter().filter(|f| theirs.iter().any(|t| t == *f)).map(|f| (*f).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_taken() {
        assert_eq!(version("link", &[1, 2, 3], &[2, 1, 9]), Ok(2));
    }

    #[test]
    fn an_unknown_version_is_refused_with_its_code() {
        assert_eq!(version("link", &[1], &[7]).unwrap_err().code, Code::UnsupportedVersion);
        assert_eq!(version("link", &[1], &[]).unwrap_err().code, Code::Invalid);
        assert_eq!(version("link", &[1], &[1; 9]).unwrap_err().code, Code::Invalid);
    }

    #[test]
    fn only_common_features_are_kept_and_unknown_ones_ignored() {
        let theirs = ["x".to_owned(), "b".to_owned()];
        assert_eq!(features(&["a", "b"], &theirs), Ok(vec!["b".to_owned()]));
        assert!(features(&[], &vec![String::new(); limits::FEATURES + 1]).is_err());
        assert!(features(&[], &["x".repeat(limits::FEATURE_BYTES + 1)]).is_err());
    }
}
