//! What the programs tell of themselves: metrics, readiness, traces.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, ensure};
use chatcode_harness::{Mesh, Page, Terminal, eventually, proc::Proc};
use chatcode_proto::{metadata, pb};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Every sample of a scrape, by name and labels.
type Samples = BTreeMap<String, f64>;

/// Reads the text form of Prometheus strictly: each sample after the help and the type of
/// its name.
fn samples(text: &str) -> anyhow::Result<(BTreeMap<String, String>, Samples)> {
    let (mut kinds, mut helped, mut all) = (BTreeMap::new(), BTreeSet::new(), Samples::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').context("a help has words")?;
            ensure!(words.ends_with('.') && words.len() > 5, "{line}");
            ensure!(helped.insert(name.to_owned()), "{name} is there twice");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').context("a type has a kind")?;
            ensure!(helped.contains(name), "{name} has no help");
            ensure!((kind == "counter") == name.ends_with("_total"), "{line}");
            kinds.insert(name.to_owned(), kind.to_owned());
        } else {
            let (sample, value) = line.rsplit_once(' ').context(line.to_owned())?;
            let name = sample.split('{').next().unwrap_or_default();
            let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let is_known = kinds.contains_key(name)
                || bare.is_some_and(|bare| kinds.get(bare).is_some_and(|kind| kind == "histogram"));
            ensure!(is_known, "{name} has no type");
            ensure!(all.insert(sample.to_owned(), value.parse()?).is_none(), "{sample} is there twice");
        }
    }
    Ok((kinds, all))
}

async fn scrape(mesh: &Mesh, role: &Proc) -> anyhow::Result<(BTreeMap<String, String>, Samples)> {
    let (status, text) = mesh.observe(role, "/metrics").await?;
    ensure!(status == 200, "{status}: {text}");
    samples(&text)
}

/// Waits until a sample is at least so much.
async fn reaches(mesh: &Mesh, role: &Proc, sample: &str, least: f64) -> anyhow::Result<()> {
    eventually(sample, async || {
        let (_, all) = scrape(mesh, role).await?;
        Ok(all.get(sample).is_some_and(|value| *value >= least).then_some(()))
    })
    .await
}

#[tokio::test]
async fn what_happens_is_counted_at_each_hop_and_every_metric_is_in_the_docs() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let command = ["sh", "-c", "seq 30000; exec cat"];
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &command).await?;
    terminal.sees("30000").await?;
    terminal.enter("hello\n")?;
    terminal.sees("hello\r\nhello\r\n").await?;
    for (role, sample, least) in [
        (&mesh.core, "chatcode_core_links", 1.0),
        (&mesh.core, "chatcode_core_links_up_total", 1.0),
        (&mesh.core, "chatcode_core_gateways{state=\"online\"}", 1.0),
        (&mesh.core, "chatcode_core_sessions{state=\"running\"}", 1.0),
        (&mesh.core, "chatcode_core_viewers", 1.0),
        (&mesh.core, "chatcode_core_link_rtt_seconds_count", 1.0),
        (&mesh.core, "chatcode_core_calls_total{method=\"Sessions/Create\",code=\"done\"}", 1.0),
        (&mesh.core, "chatcode_core_calls_total{method=\"Terminal/Attach\",code=\"done\"}", 1.0),
        (&mesh.core, "chatcode_core_passed_bytes_total{direction=\"to_gateway\"}", 6.0),
        (&mesh.core, "chatcode_core_passed_bytes_total{direction=\"to_caller\"}", 6.0),
        (&mesh.core, "chatcode_core_store_write_seconds_count", 1.0),
        (&mesh.core, "chatcode_core_certificate_end_seconds{certificate=\"core\"}", 1e9),
        (&mesh.core, "chatcode_core_certificate_end_seconds{certificate=\"root\"}", 1e9),
        (&mesh.core, "chatcode_core_certificate_end_seconds{certificate=\"gateway\"}", 1e9),
        (&mesh.edge, "chatcode_edge_core_up", 1.0),
        (&mesh.edge, "chatcode_edge_core_rtt_seconds_count", 1.0),
        (&mesh.edge, "chatcode_edge_sockets", 1.0),
        (&mesh.edge, "chatcode_edge_socket_bytes_total{direction=\"from_page\"}", 6.0),
        (&mesh.edge, "chatcode_edge_socket_bytes_total{direction=\"to_page\"}", 6.0),
        (&mesh.edge, "chatcode_edge_echo_seconds_count", 1.0),
        (&mesh.edge, "chatcode_edge_page_rtt_seconds_count", 1.0),
        (&mesh.edge, "chatcode_edge_certificate_end_seconds", 1e9),
        (&mesh.gateway, "chatcode_gateway_link_up", 1.0),
        (&mesh.gateway, "chatcode_gateway_sessions{state=\"running\"}", 1.0),
        (&mesh.gateway, "chatcode_gateway_attachments_total", 1.0),
        (&mesh.gateway, "chatcode_gateway_calls_total{method=\"Sessions/Create\",code=\"done\"}", 1.0),
        (
            &mesh.gateway,
            "chatcode_gateway_terminal_frames_total{direction=\"to_holder\",kind=\"credit\"}",
            1.0,
        ),
        (
            &mesh.gateway,
            "chatcode_gateway_terminal_frames_total{direction=\"to_viewer\",kind=\"output\"}",
            1.0,
        ),
        (&mesh.gateway, "chatcode_gateway_certificate_end_seconds", 1e9),
    ] {
        // The viewer goes on: it pings, and shows what comes.
        tokio::select! {
            reached = reaches(&mesh, role, sample, least) => reached?,
            never = terminal.until(sample, |_| false) => never?,
        }
    }
    let mut exposed = BTreeMap::new();
    for role in [&mesh.core, &mesh.edge, &mesh.gateway] {
        exposed.extend(scrape(&mesh, role).await?.0);
    }
    assert_eq!(documented(), exposed, "docs/observe.md has every metric, with its kind");
    Ok(())
}

/// The metrics of the table, with their kinds.
fn documented() -> BTreeMap<String, String> {
    let page = include_str!("../../docs/observe.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `chatcode_"));
    let cells = |row: &str| {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
        Some((format!("chatcode_{}", cells.next()?), cells.next()?))
    };
    rows.filter_map(cells).collect()
}

#[test]
fn rules_and_dashboard_name_metrics_that_there_are() -> anyhow::Result<()> {
    let known = documented();
    let (rules, dashboard) =
        (include_str!("../../deploy/observe/rules.yml"), include_str!("../../deploy/observe/grafana.json"));
    let panels: serde_json::Value = serde_json::from_str(dashboard)?;
    ensure!(panels["panels"].as_array().is_some_and(|panels| panels.len() > 10), "the dashboard has panels");
    let mut named = BTreeSet::new();
    for text in [rules, dashboard] {
        for (at, _) in text.match_indices("chatcode_") {
            let is_word = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
            named.insert(text[at..].chars().take_while(is_word).collect::<String>());
        }
    }
    ensure!(named.len() > 20, "they name metrics");
    for name in named {
        let bare = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        let is_known = known.contains_key(&name) || bare.is_some_and(|bare| known.contains_key(bare));
        ensure!(is_known, "{name} is no metric");
    }
    Ok(())
}

#[tokio::test]
async fn readiness_turns_with_what_a_program_rests_on_and_health_does_not() -> anyhow::Result<()> {
    let mut mesh = Mesh::start().await?;
    let turns = async |mesh: &Mesh, status: u16| {
        for role in [&mesh.edge, &mesh.gateway] {
            let what = format!("{} of {}", status, role.ready);
            eventually(&what, async || Ok((mesh.observe(role, "/readyz").await?.0 == status).then_some(())))
                .await?;
            ensure!(mesh.observe(role, "/healthz").await? == (200, "ok\n".to_owned()));
        }
        Ok(())
    };
    assert_eq!(mesh.observe(&mesh.core, "/readyz").await?, (200, "ready\n".to_owned()));
    turns(&mesh, 200).await?;
    mesh.core.kill().await?;
    turns(&mesh, 503).await?;
    assert_eq!(mesh.observe(&mesh.edge, "/readyz").await?.1, "the core does not answer\n");
    let (_, why) = mesh.observe(&mesh.gateway, "/readyz").await?;
    assert!(why.starts_with("the link to the core is down: "), "{why}");
    mesh.start_core_again().await?;
    turns(&mesh, 200).await?;
    reaches(&mesh, &mesh.gateway, "chatcode_gateway_links_up_total", 2.0).await
}

#[tokio::test]
async fn a_core_whose_ca_is_gone_is_not_ready() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let ca = mesh.data_dir("core").join("ca");
    std::fs::rename(&ca, mesh.folder().join("elsewhere"))?;
    let (status, why) = mesh.observe(&mesh.core, "/readyz").await?;
    assert_eq!((status, why.as_str()), (503, "the CA cannot be read; the log says why\n"));
    std::fs::rename(mesh.folder().join("elsewhere"), &ca)?;
    assert_eq!(mesh.observe(&mesh.core, "/readyz").await?.0, 200);
    Ok(())
}

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().map_err(|_| Status::internal("poisoned"))?;
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = format!("{:?}", attributes.iter().find(|one| one.key == "service.name"));
            let role = ["core", "edge", "gateway"].into_iter().find(|role| service.contains(role));
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                kept.push((role.unwrap_or("nobody").to_owned(), span));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    fn span(&self, role: &str, method: &str) -> Option<Span> {
        let kept = self.0.lock().ok()?;
        kept.iter().find(|(of, span)| of == role && span.name == method).map(|(_, span)| span.clone())
    }
}

#[tokio::test]
async fn one_call_is_one_trace_from_the_edge_over_the_core_to_the_machine() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let collector = Collector::default();
    let serving = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let _serving = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(serving));
    let mesh = Mesh::start_traced(&address).await?;
    let page: Page = mesh.page().await?;
    let request = pb::SessionsCreateRequest { command: vec!["cat".to_owned()], ..Default::default() };
    page.create_session(&mesh.gateway_id()?, &request).await?;
    let method = "chatcode.v1.Sessions/Create";
    let spans = eventually("the spans of all hops", async || {
        let of = |role| collector.span(role, method);
        Ok(of("edge").zip(of("core")).zip(of("gateway")).map(|((edge, core), gateway)| [edge, core, gateway]))
    })
    .await?;
    let [edge, core, gateway] = spans;
    assert!(edge.parent_span_id.is_empty(), "the edge begins the trace");
    assert_eq!((&core.trace_id, &gateway.trace_id), (&edge.trace_id, &edge.trace_id));
    assert_eq!((&core.parent_span_id, &gateway.parent_span_id), (&edge.span_id, &core.span_id));
    let keys = |span: &Span| span.attributes.iter().map(|one| one.key.clone()).collect::<BTreeSet<_>>();
    assert!(keys(&core).contains("chatcode.request_id") && keys(&core).contains("chatcode.code"));

    // Of a terminal too, when it has ended.
    let terminal = Terminal::start(&page, &mesh.gateway_id()?, &["cat"]).await?;
    drop(terminal);
    let attach = metadata::ATTACH.trim_start_matches('/');
    let [edge, core] = eventually("the spans of a terminal", async || {
        Ok(collector
            .span("edge", attach)
            .zip(collector.span("core", attach))
            .map(|(edge, core)| [edge, core]))
    })
    .await?;
    assert_eq!((core.trace_id, core.parent_span_id), (edge.trace_id, edge.span_id));

    // Who is no edge is not believed.
    let mut list = Request::new(pb::FleetListRequest::default());
    let forged = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    list.metadata_mut().insert("traceparent", forged.parse()?);
    mesh.fleet()?.list(list).await?;
    let listed = "chatcode.v1.Fleet/List";
    let core = eventually("the span of the list", async || Ok(collector.span("core", listed))).await?;
    assert!(core.parent_span_id.is_empty(), "the caller named one");
    let text = format!("{:?}", collector.0.lock().map_err(|_| anyhow::anyhow!("poisoned"))?);
    assert!(!text.contains(&page.cookie), "no secret is in a span");
    Ok(())
}
