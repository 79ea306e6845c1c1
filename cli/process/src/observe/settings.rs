//! The settings of what a program tells of itself: the same three in every program's
//! file, judged by the same rules at its check and at its start.

use std::{error::Error, net::SocketAddr, path::Path};

use zeroize::Zeroizing;

use super::{ObserveError, Observer, fit, trace};
use crate::config::{Fault, Setting};

/// Where metrics are served.
pub const METRICS: Setting = Setting::restart(
    "metrics",
    "ADDRESS:PORT",
    "none",
    "where metrics, `/healthz` and `/readyz` are served ([metrics](observe.md))",
);
/// The token of their readers.
pub const METRICS_TOKEN_FILE: Setting = Setting::restart(
    "metrics_token_file",
    "a file",
    "none",
    "a private file with the token that readers of metrics show; needed off loopback",
);
/// Where traces go.
pub const OTLP: Setting = Setting::restart(
    "otlp",
    "\"http://ADDRESS:PORT\"",
    "none",
    "the collector on this machine that gets traces ([traces](observe.md#traces))",
);

/// The token in a private file; `None` when the file is not there.
type Token<E> = Result<Option<Zeroizing<Vec<u8>>>, E>;

/// Listens for readers of metrics where the settings name an address; `read` reads
/// private files.
///
/// # Errors
/// [`ObserveError`], and what `read` says.
pub fn observer<F, E>(
    metrics: Option<SocketAddr>,
    token_file: Option<&Path>,
    read: impl FnOnce(&Path) -> Token<F>,
) -> Result<Option<Observer>, E>
where
    E: From<F> + From<ObserveError>,
{
    let Some(address) = metrics else { return Ok(None) };
    let token = match token_file {
        Some(file) => Some(read(file)?.ok_or(ObserveError::NoToken)?),
        None => None,
    };
    Ok(Some(Observer::bind(address, token)?))
}

/// All that [`observer`] and the start of traces would refuse; nothing is listened at.
pub fn faults<F: Error + 'static>(
    metrics: Option<SocketAddr>,
    token_file: Option<&Path>,
    otlp: Option<&str>,
    read: impl FnOnce(&Path) -> Token<F>,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(address) = metrics {
        faults.extend(fault_of_metrics(address, token_file.map(read)));
    }
    if let Some(Err(error)) = otlp.map(trace::check) {
        faults.push(Fault::caused("otlp", &error));
    }
    faults
}

fn fault_of_metrics<F: Error + 'static>(address: SocketAddr, token: Option<Token<F>>) -> Option<Fault> {
    let token = match token {
        None => None,
        Some(Ok(Some(token))) => Some(token),
        Some(Ok(None)) => return Some(Fault::caused("metrics_token_file", &ObserveError::NoToken)),
        Some(Err(error)) => return Some(Fault::caused("metrics_token_file", &error)),
    };
    match fit(address, token) {
        Ok(_) => None,
        Err(error @ ObserveError::Open(_)) => Some(Fault::of(&["metrics", "metrics_token_file"], error)),
        Err(error) => Some(Fault::caused("metrics_token_file", &error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use chatcode_proto::limits;

    use super::*;

    /// A token file that holds this; nothing: it is not there.
    fn said(
        metrics: &str,
        token: Option<Result<Option<&str>, io::ErrorKind>>,
        otlp: Option<&str>,
    ) -> Vec<(String, String)> {
        let file = token.as_ref().map(|_| Path::new("/token"));
        let read = |_: &Path| match token {
            Some(Ok(text)) => Ok(text.map(|text| Zeroizing::new(text.as_bytes().to_vec()))),
            Some(Err(kind)) => Err(io::Error::from(kind)),
            None => Ok(None),
        };
        let faults = faults(metrics.parse().ok(), file, otlp, read);
        faults.into_iter().map(|fault| (fault.keys.join(" "), fault.reason)).collect()
    }

    #[test]
    fn what_the_start_would_refuse_is_a_mistake_of_the_right_setting() {
        let long = "x".repeat(32);
        for (metrics, token, otlp) in [
            ("", None, None),
            ("127.0.0.1:9464", None, Some("http://127.0.0.1:4317")),
            ("0.0.0.0:9464", Some(Ok(Some(long.as_str()))), None),
            // Nobody serves metrics, so nobody reads their token.
            ("", Some(Ok(None)), None),
        ] {
            assert_eq!(said(metrics, token, otlp), [], "{metrics} {token:?} {otlp:?}");
        }
        for (metrics, token, otlp, key, words) in [
            (
                "0.0.0.0:9464",
                None,
                None,
                "metrics metrics_token_file",
                "not an address of this machine alone",
            ),
            ("127.0.0.1:9464", Some(Ok(None)), None, "metrics_token_file", "there is no metrics_token_file"),
            ("0.0.0.0:9464", Some(Ok(Some("short"))), None, "metrics_token_file", "has 5 bytes"),
            ("127.0.0.1:1", Some(Err(io::ErrorKind::PermissionDenied)), None, "metrics_token_file", "denied"),
            ("", None, Some("https://collector.example"), "otlp", "no collector on this machine"),
        ] {
            let said = said(metrics, token, otlp);
            assert!(matches!(&said[..], [(at, why)] if at == key && why.contains(words)), "{said:?}");
        }
    }

    #[test]
    fn a_token_or_an_address_out_of_its_bounds_is_a_mistake() {
        let (low, high) = limits::METRICS_TOKEN_BYTES.into_inner();
        for (bytes, is_right) in [(low - 1, false), (low, true), (high, true), (high + 1, false)] {
            let token = "x".repeat(bytes);
            let said = said("127.0.0.1:9464", Some(Ok(Some(token.as_str()))), None);
            assert_eq!(said.is_empty(), is_right, "{bytes}: {said:?}");
        }
        let base = "http://127.0.0.1:4317/";
        for (bytes, is_right) in
            [(limits::COLLECTOR_ADDRESS_BYTES, true), (limits::COLLECTOR_ADDRESS_BYTES + 1, false)]
        {
            let address = format!("{base}{}", "x".repeat(bytes - base.len()));
            let said = said("", None, Some(&address));
            assert_eq!(said.is_empty(), is_right, "{bytes}: {said:?}");
        }
    }
}
