//! The line that installs a gateway, as the page's edge tells it too.

use std::path::PathBuf;

use anyhow::Context as _;
use chatcode_certs::secret;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::install_line::{Voucher, install_line};

/// Asks for the line, and says who vouches for its script.
#[derive(Debug, clap::Args)]
pub(crate) struct LineWish {
    /// Print the line that installs a gateway, too, on standard error; the script
    /// is that of this origin, vouched for by one of the next three.
    #[arg(long, value_name = "ORIGIN", value_parser = crate::login_url::origin)]
    line: Option<String>,
    /// Every machine trusts the origin's certificate.
    #[arg(long, requires = "line", group = "voucher")]
    public: bool,
    /// SHA-256 of the origin's TLS key, in base64, as curl's pins are.
    #[arg(long, requires = "line", group = "voucher", value_name = "SHA256")]
    pin: Option<String>,
    /// The install.sh of the release that the origin gives out.
    #[arg(long, requires = "line", group = "voucher", value_name = "FILE")]
    script: Option<PathBuf>,
    /// Where the release lies below the origin.
    #[arg(long, requires = "line", value_name = "PATH", default_value = "/release/stable")]
    release: String,
}

impl LineWish {
    /// The line for the core at `core`, if it was asked for.
    ///
    /// # Errors
    /// When nobody vouches for the script, or it cannot be read.
    pub(crate) fn text(&self, core: &str) -> anyhow::Result<Option<String>> {
        let Some(origin) = &self.line else { return Ok(None) };
        let voucher = if self.public {
            Voucher::PublicCertificate
        } else if let Some(pin) = &self.pin {
            Voucher::Pin(pin.trim_start_matches("sha256//").to_owned())
        } else if let Some(script) = &self.script {
            let bytes = std::fs::read(script).with_context(|| script.display().to_string())?;
            Voucher::ScriptSha256(secret::hash(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
        } else {
            let words = "--line needs to know who vouches for the script: --public, --pin or --script";
            return Err(anyhow::anyhow!(words).context(Exit(exit::USAGE)));
        };
        Ok(Some(install_line(origin, &self.release, core, &voucher).context(Exit(exit::USAGE))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(line: Option<&str>, public: bool) -> LineWish {
        LineWish {
            line: line.map(str::to_owned),
            public,
            pin: None,
            script: None,
            release: "/release/stable".to_owned(),
        }
    }

    #[test]
    fn a_line_is_printed_only_when_somebody_vouches_for_its_script() {
        let https = Some("https://code.example.org");
        assert!(wish(None, false).text("core:1").expect("nothing asked").is_none());
        assert!(wish(https, false).text("core:1").is_err());
        assert!(wish(https, true).text("core:1").expect("is a line").is_some());
        assert!(wish(Some("http://localhost:1"), true).text("core:1").is_err());
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("install.sh");
        std::fs::write(&script, "echo hello").expect("is written");
        let summed = LineWish { script: Some(script), ..wish(Some("http://localhost:1"), false) };
        let line = summed.text("core:1").expect("is a line").expect("was asked for");
        assert!(line.contains("584a331fd6b02dcb1ecbe2eba731f609a2e1e3dac0bb73ae998dfad14c309a77"), "{line}");
    }
}
