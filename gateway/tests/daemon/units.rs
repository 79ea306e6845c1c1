//! What is told of the service manager's files, which an update leaves alone.

use std::{fs, os::unix::fs::symlink, path::Path};

use tokio::process::Command;

use crate::{core::soon, updating::Installed};

const UNIT: &str = "systemd/user/chatcode-gateway.service";

fn put(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

#[tokio::test]
async fn a_unit_that_is_not_the_installed_versions_is_told_by_status_with_what_it_is() {
    let machine = Installed::new();
    let (root, home) = (machine.place.root(), machine.machine.home());
    let unit = home.join(".config").join(UNIT);
    let told = async || {
        let mut command = Command::new(machine.place.current_program("chatcode-gateway"));
        command.args(["status", "--data-dir"]).arg(machine.machine.data()).env_clear().env("HOME", &home);
        let output = soon("the status", command.kill_on_drop(true).output()).await.unwrap();
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        status["units"].clone()
    };
    let is = |word: &str| serde_json::json!([{ "file": unit, "is": word }]);
    put(&root.join("0.1.0").join(UNIT), "of 0.1.0");
    assert_eq!(told().await, serde_json::json!([]), "none was installed");
    put(&unit, "of 0.1.0");
    assert_eq!(told().await, serde_json::json!([]));
    put(&unit, "of 0.0.9");
    assert_eq!(told().await, is("changed"), "nobody knows of which version it is");
    put(&root.join("0.0.9").join(UNIT), "of 0.0.9");
    symlink("0.0.9", root.join("previous")).unwrap();
    assert_eq!(told().await, is("older"));
}
