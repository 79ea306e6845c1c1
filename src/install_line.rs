//! The one line that turns a machine into a gateway: it downloads `install.sh`
//! and runs it. No secret is in it; the join token is asked for.

/// Who vouches for the script before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// A certificate that every machine trusts; only for an `https` origin.
    PublicCertificate,
    /// SHA-256 of the SubjectPublicKeyInfo of the server's TLS key, in base64.
    Pin(String),
    /// SHA-256 of the script, in hex.
    ScriptSha256(String),
}

/// There is no line that is safe to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLine {
    /// The script would come over a connection that nobody vouches for.
    #[error("nothing vouches for a script from {0}: it needs HTTPS, or the script's SHA-256")]
    NobodyVouches(String),
    /// A value is empty, or has characters that a shell reads otherwise.
    #[error("{0:?} cannot stand in a command line")]
    Unfit(String),
}

/// The line for `sh`: the script of `origin`, whose release lies at `release` (its
/// path, such as `/release/stable`), for the core at `core` (host and TCP port).
///
/// # Errors
/// [`NoLine`].
pub fn install_line(origin: &str, release: &str, core: &str, voucher: &Voucher) -> Result<String, NoLine> {
    let given = [origin, core].into_iter().chain(voucher.text());
    let missing = given.clone().find(|word| word.is_empty());
    let mut words = given.chain([release]);
    if let Some(unfit) = missing.or_else(|| words.find(|word| !word.chars().all(is_plain))) {
        return Err(NoLine::Unfit(unfit.to_owned()));
    }
    let is_https = origin.starts_with("https://");
    if !is_https && !matches!(voucher, Voucher::ScriptSha256(_)) {
        return Err(NoLine::NobodyVouches(origin.to_owned()));
    }
    let script = format!("{origin}/install.sh");
    let arguments = format!("--from {origin}{release} --core {core}");
    Ok(match voucher {
        Voucher::PublicCertificate => format!("curl -fsS {script} | sh -s -- {arguments}"),
        // The pin alone decides: the certificate is one that this machine need not know.
        Voucher::Pin(pin) => format!(
            "curl -fsSk --pinnedpubkey sha256//{pin} {script} | sh -s -- {arguments} --pin sha256//{pin}"
        ),
        Voucher::ScriptSha256(sha256) => format!(
            "(f=$(mktemp) && curl -fsS -o \"$f\" {script} && \
             if [ \"$( (sha256sum \"$f\" 2>/dev/null || shasum -a 256 \"$f\") | cut -c 1-64)\" = {sha256} ]; \
             then sh \"$f\" {arguments}; \
             else echo 'install.sh is not the one that this line was made for; nothing was run' >&2; false; fi; \
             s=$?; rm -f \"$f\"; exit $s)"
        ),
    })
}

impl Voucher {
    fn text(&self) -> Option<&str> {
        match self {
            Self::PublicCertificate => None,
            Self::Pin(text) | Self::ScriptSha256(text) => Some(text),
        }
    }
}

/// What no shell reads as anything but itself.
const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '.' | '-' | '_' | '+' | '=' | '[' | ']')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTPS: &str = "https://code.example.org";
    const HTTP: &str = "http://localhost:7420";

    fn line(origin: &str, voucher: &Voucher) -> Result<String, NoLine> {
        install_line(origin, "/release/stable", "code.example.org:7421", voucher)
    }

    #[test]
    fn a_public_certificate_is_enough_and_a_private_one_is_pinned_twice() {
        assert_eq!(
            line(HTTPS, &Voucher::PublicCertificate).as_deref(),
            Ok("curl -fsS https://code.example.org/install.sh | sh -s -- \
                --from https://code.example.org/release/stable --core code.example.org:7421")
        );
        let pinned = line(HTTPS, &Voucher::Pin("abc+/=".into())).expect("is a line");
        assert_eq!(pinned.matches("sha256//abc+/=").count(), 2, "{pinned}");
    }

    #[test]
    fn without_https_only_the_script_s_own_sum_vouches() {
        for voucher in [Voucher::PublicCertificate, Voucher::Pin("abc".into())] {
            assert_eq!(line(HTTP, &voucher), Err(NoLine::NobodyVouches(HTTP.into())));
        }
        let summed = line(HTTP, &Voucher::ScriptSha256("ab12".into())).expect("is a line");
        assert!(summed.contains(" = ab12 ]") && !summed.contains("| sh -s"), "{summed}");
    }

    #[test]
    fn nothing_in_it_is_read_by_the_shell_as_anything_else() {
        for odd in
            ["https://x;reboot", "https://x$(id)", "https://x y", "https://x'", "https://x|sh", "https://x\n"]
        {
            assert_eq!(line(odd, &Voucher::PublicCertificate), Err(NoLine::Unfit(odd.into())));
        }
        assert!(line(HTTPS, &Voucher::Pin("a`id`".into())).is_err());
        assert!(install_line(HTTPS, "/r", "h:1 --mode user", &Voucher::PublicCertificate).is_err());
        assert_eq!(
            install_line(HTTPS, "/r", "", &Voucher::PublicCertificate),
            Err(NoLine::Unfit(String::new())),
            "a word that is empty leaves its option the next one"
        );
        assert!(line(HTTPS, &Voucher::Pin(String::new())).is_err());
    }
}
