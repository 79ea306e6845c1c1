//! xterm.js itself, in a process of node: it says whether a snapshot is right.

use std::{
    io::{BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

const HOW_TO_INSTALL: &str = "npm ci --prefix edge/web";

/// The process, killed when it is dropped.
pub(crate) struct Oracle {
    child: Child,
    stdin: BufWriter<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// What xterm.js says of a case.
#[derive(Debug)]
pub(crate) enum Verdict {
    Equal,
    Differs(Vec<String>),
    /// xterm.js cannot play the case at all, so there is nothing to be equal to.
    Unplayable,
}

impl Oracle {
    pub(crate) fn start() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let modules = root.join("../../edge/web/node_modules/@xterm/headless");
        assert!(modules.exists(), "xterm.js is not installed; type: {HOW_TO_INSTALL}");
        let mut child = Command::new("node")
            .arg(root.join("tests/xterm/oracle.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("node cannot be started ({error}); install Node.js 20 or later"));
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            panic!("both are piped");
        };
        Self { child, stdin: BufWriter::new(stdin), stdout: BufReader::new(stdout) }
    }

    pub(crate) fn judge(&mut self, case: &Value) -> Verdict {
        let answer = self.ask(case);
        if answer.get("thrown").is_some() {
            return Verdict::Unplayable;
        }
        let differences: Vec<String> = answer["differences"]
            .as_array()
            .unwrap_or_else(|| panic!("not an answer: {answer}"))
            .iter()
            .map(|text| text.as_str().unwrap_or_default().to_owned())
            .collect();
        if differences.is_empty() { Verdict::Equal } else { Verdict::Differs(differences) }
    }

    /// The width of every code point, as digits.
    pub(crate) fn widths(&mut self) -> String {
        let answer = self.ask(&serde_json::json!({ "widths": true }));
        answer["widths"].as_str().unwrap_or_default().to_owned()
    }

    fn ask(&mut self, question: &Value) -> Value {
        let mut line = String::new();
        writeln!(self.stdin, "{question}")
            .and_then(|()| self.stdin.flush())
            .and_then(|()| self.stdout.read_line(&mut line))
            .unwrap_or_else(|error| panic!("the oracle is gone: {error}"));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("not an answer ({error}): {line:?}"))
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
