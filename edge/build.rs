//! Embeds the built page, `web/dist`, as a table of files. A page that is
//! missing or older than its sources fails the build with the command that
//! makes it. `CHATCODE_PAGE=none` embeds a page that says it is not there, for
//! checks of Rust code without Node.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

/// What the page is made of, seen from `edge/web`.
const SOURCES: &[&str] =
    &["src", "public", "index.html", "package.json", "package-lock.json", "vite.config.ts", "../../proto"];
/// Made from `proto` by the build, so not a source.
const GENERATED: &str = "src/gen/";
/// Where the build of the page notes which sources it was made of.
const STAMP: &str = "dist/.sources";

const NO_PAGE: &str = "<!doctype html><meta charset=\"utf-8\"><title>chatcode</title>\
    <p>This edge was built without its page (CHATCODE_PAGE=none). Run <code>just web</code> and build again.</p>\n";

fn main() {
    if let Err(error) = embed() {
        println!("cargo::error={error:#}");
    }
}

fn embed() -> anyhow::Result<()> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("web");
    let out = PathBuf::from(env::var("OUT_DIR")?).join("page.rs");
    println!("cargo:rerun-if-env-changed=CHATCODE_PAGE");
    println!("cargo:rerun-if-changed=build.rs");
    let table = match env::var("CHATCODE_PAGE").as_deref() {
        Ok("none") => no_page(out.with_file_name("index.html"))?,
        Ok(other) if !other.is_empty() => bail!("CHATCODE_PAGE may be `none` or not set, not `{other}`"),
        _ => {
            for source in SOURCES.iter().chain([&"dist"]) {
                println!("cargo:rerun-if-changed={}", web.join(source).display());
            }
            check_stamp(&web)?;
            page(&web.join("dist"))?
        }
    };
    fs::write(out, table)?;
    Ok(())
}

/// Fails unless the built page was made of the sources as they are.
fn check_stamp(web: &Path) -> anyhow::Result<()> {
    let Ok(stamp) = fs::read_to_string(web.join(STAMP)) else {
        bail!("the page is not built; run: just web");
    };
    if stamp.trim() != sources_hash(web)? {
        bail!("the page in edge/web/dist is older than its sources; run: just web");
    }
    Ok(())
}

/// SHA-256 over the sources, as `web/scripts/stamp.mjs` makes it.
fn sources_hash(web: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&web.join(source), source, &mut files)?;
    }
    files.retain(|(name, _)| !name.starts_with(GENERATED));
    files.sort();
    let mut hash = Sha256::new();
    for (name, path) in files {
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        hash.update(format!("{name}\0{}\0", content.len()));
        hash.update(content);
    }
    Ok(hex(&hash.finalize()))
}

/// Files below `path`, each with its name seen from where one began.
fn collect(path: &Path, name: &str, into: &mut Vec<(String, PathBuf)>) -> anyhow::Result<()> {
    if path.is_file() {
        into.push((name.to_owned(), path.to_owned()));
    }
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let child = entry.file_name().into_string().ok().context("a file name is not text")?;
            collect(&entry.path(), &format!("{name}/{child}"), into)?;
        }
    }
    Ok(())
}

/// The table of all files of the built page but the stamp, by path.
fn page(dist: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    collect(dist, "", &mut files)?;
    files.retain(|(name, _)| !name.starts_with("/."));
    files.sort();
    table(&files)
}

fn no_page(index: PathBuf) -> anyhow::Result<String> {
    fs::write(&index, NO_PAGE)?;
    table(&[("/index.html".to_owned(), index)])
}

fn table(files: &[(String, PathBuf)]) -> anyhow::Result<String> {
    let mut rows = String::new();
    for (path, file) in files {
        let etag = format!("\"{}\"", hex(&Sha256::digest(fs::read(file)?)[..16]));
        // Vite puts a hash of the content into the names of these.
        let immutable = path.starts_with("/assets/");
        let mime = mime(path)?;
        writeln!(
            rows,
            "    Asset {{ path: {path:?}, mime: {mime:?}, etag: {etag:?}, immutable: {immutable}, bytes: include_bytes!({file:?}) }},"
        )?;
    }
    Ok(format!("/// The files of the page, by path.\nstatic ASSETS: &[Asset] = &[\n{rows}];\n"))
}

fn mime(path: &str) -> anyhow::Result<&'static str> {
    Ok(match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => bail!("the page has a file of an unknown kind, {path}; add its type to edge/build.rs"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
