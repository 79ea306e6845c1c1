//! Opens the login URL in the browser without putting its secret into an
//! argument that every user of the machine can read.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use chatcode_certs::files;
use tokio::process::Command;

/// A private file that sends the browser on; removed when dropped.
#[derive(Debug)]
pub(crate) struct Page(PathBuf);

impl Page {
    /// Writes the file and opens it with the system's browser.
    ///
    /// # Errors
    /// When it cannot be written, or the system has no program for it.
    pub(crate) fn show(dir: &Path, url: &str) -> anyhow::Result<Self> {
        let page = Self(dir.join("open.html"));
        // The URL is ours: an origin and base64url.
        let html = format!(
            "<!doctype html><meta charset=\"utf-8\"><title>chatcode</title>\n<script>location.replace({})</script>\n",
            serde_json::to_string(url)?
        );
        files::write_private(&page.0, html.as_bytes())?;
        let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        Command::new(opener)
            .arg(&page.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{opener} does not start; open the URL by hand"))?;
        Ok(page)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
