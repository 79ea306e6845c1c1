//! Links that let guests in, from the command line.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::support::Folder;

#[test]
fn a_link_is_printed_once_listed_without_its_secret_and_taken_back() {
    let folder = Folder::new();
    let up = folder.up();
    folder.prints(&["new", "--name", "build"]);
    let file = folder.path().join("passphrase");
    fs::write(&file, "open the gate\n").expect("is written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("is private");
    let file = file.to_str().expect("is text");
    let wish =
        ["shares", "create", "build", "--writer", "--ttl", "1h", "--uses", "3", "--passphrase-file", file];
    let url = folder.prints(&wish);
    let secret = url.trim().strip_prefix(&format!("{}/#share=", up.word("origin"))).expect("is of the page");
    assert_eq!(secret.len(), 43);

    let listed = folder.prints(&["shares", "list", "--json"]);
    assert!(!listed.contains(secret), "{listed}");
    let row: serde_json::Value = serde_json::from_str(&listed).expect("is one line of JSON");
    assert_eq!((&row["role"], &row["uses"], &row["passphrase"]), (&"writer".into(), &3.into(), &true.into()));
    let table = folder.prints(&["shares", "list"]);
    assert!(table.contains("build") && table.contains("type") && table.contains("0 of 3"), "{table}");

    let id = row["id"].as_str().expect("is text");
    folder.prints(&["shares", "revoke", &id[..8]]);
    assert_eq!(folder.prints(&["shares", "list", "--json"]), "");
    let again = folder.run(&["shares", "revoke", id]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    let rows = folder.prints(&["audit", "--json", "--action", "share."]);
    assert!(
        rows.contains("share.created") && rows.contains("share.revoked") && !rows.contains(secret),
        "{rows}"
    );
}

#[test]
fn a_passphrase_that_others_may_read_and_a_session_that_is_none_are_refused() {
    let folder = Folder::new();
    let _up = folder.up();
    folder.prints(&["new", "--name", "build"]);
    let file = folder.path().join("passphrase");
    fs::write(&file, "open the gate\n").expect("is written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("is open");
    let loose =
        folder.run(&["shares", "create", "build", "--passphrase-file", file.to_str().expect("is text")]);
    assert_eq!(loose.status.code(), Some(78), "{loose:?}");
    let none = folder.run(&["shares", "create", "nothing"]);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    assert_eq!(folder.prints(&["shares", "list", "--json"]), "");
}
