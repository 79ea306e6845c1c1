//! The reference of the settings, as `docs/configuration.md` has it.

use std::{fs, path::Path};

use super::{Setting, Settings};

/// The section of the reference that is about the settings of `C`.
#[must_use]
pub fn section<C: Settings>() -> String {
    let mut text = String::from(
        "| key | what is written | default | variable | reload | means |\n|---|---|---|---|---|---|\n",
    );
    for setting in C::SETTINGS {
        let Setting { key, form, default, reload, means } = setting;
        let default = if default.is_empty() { "has to be there" } else { default };
        let reload = if *reload { "yes" } else { "restart" };
        let variable = variable(C::ROLE, key).map_or_else(|| "–".to_owned(), |name| format!("`{name}`"));
        let cells = [&format!("`{key}`"), *form, default, &variable, reload, means];
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// The variable of a setting; none for what stands in a list.
#[must_use]
pub fn variable(role: &str, key: &str) -> Option<String> {
    let name = format!("CHATCODE_{}_{}", role.to_uppercase(), key.to_uppercase().replace('.', "__"));
    (!key.contains("[]")).then_some(name)
}

/// The keys of a serialized configuration that the settings do not list, and the
/// settings that it does not have; lists and tables that are empty by default are
/// to be filled before. Both empty: the reference is whole.
#[must_use]
pub fn unlisted<C: Settings>(whole: &C) -> (Vec<String>, Vec<String>) {
    let mut keys = Vec::new();
    walk(&serde_json::to_value(whole).unwrap_or_default(), String::new(), &mut keys);
    keys.sort();
    keys.dedup();
    let listed: Vec<&str> = C::SETTINGS.iter().map(|setting| setting.key).collect();
    let missing = keys.iter().filter(|key| !listed.contains(&key.as_str())).cloned().collect();
    let unknown = listed.iter().filter(|key| !keys.iter().any(|one| one == *key)).map(ToString::to_string);
    (missing, unknown.collect())
}

fn walk(value: &serde_json::Value, key: String, keys: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                let dot = if key.is_empty() { "" } else { "." };
                walk(value, format!("{key}{dot}{name}"), keys);
            }
        }
        serde_json::Value::Array(list) if list.iter().any(serde_json::Value::is_object) => {
            for value in list {
                walk(value, format!("{key}[]"), keys);
            }
        }
        _ => keys.push(key),
    }
}

/// Compares the section `name` of a page, between `<!-- name -->` and
/// `<!-- /name -->`, with `text`; writes it there instead when `CHATCODE_BLESS` is set.
///
/// # Errors
/// What to do, when the page is not as it has to be.
pub fn keep_section(page: &Path, name: &str, text: &str) -> Result<(), String> {
    let whole = fs::read_to_string(page).map_err(|error| format!("{}: {error}", page.display()))?;
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let parts = whole.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?)));
    let Some((before, (now, after))) = parts else {
        return Err(format!("{} has no section {name}", page.display()));
    };
    if now == text {
        return Ok(());
    }
    if std::env::var_os("CHATCODE_BLESS").is_none() {
        return Err(format!(
            "{}: the section {name} is not as the program is; run this test with CHATCODE_BLESS=1",
            page.display()
        ));
    }
    fs::write(page, format!("{before}{begin}{text}{end}{after}")).map_err(|error| error.to_string())
}
