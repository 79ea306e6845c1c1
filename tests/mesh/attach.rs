//! Typing, seeing, and who may do which.

use chatcode_harness::{Mesh, Page, Terminal, page::Target, soon};
use chatcode_proto::{limits, metadata, pb};
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn what_is_typed_in_a_page_runs_in_a_shell_of_the_machine() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    terminal.enter("echo sum=$((40 + 2))\n")?;
    terminal.sees("sum=42").await?;
    terminal.enter("echo \"home=$HOME;\"\n")?;
    terminal.sees(&format!("home={};", mesh.folder().display())).await?;
    terminal.enter("exit 7\n")?;
    terminal.until("the exit", |terminal| terminal.exit.is_some()).await?;
    assert_eq!(terminal.exit.as_ref().map(|exit| exit.code), Some(7));
    Ok(())
}

#[tokio::test]
async fn a_viewer_that_comes_back_goes_on_at_the_same_byte() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &["cat"]).await?;
    for word in ["one", "two", "three"] {
        terminal.enter(&format!("{word}\n"))?;
        terminal.sees(&format!("{word}\r\n{word}\r\n")).await?;
        terminal.cut();
    }
    terminal.enter("last\n")?;
    terminal.sees("last\r\nlast\r\n").await?;
    assert_eq!(terminal.text(), "one\r\none\r\ntwo\r\ntwo\r\nthree\r\nthree\r\nlast\r\nlast\r\n");
    assert_eq!((terminal.attachments, terminal.skips.len()), (4, 0));
    Ok(())
}

#[tokio::test]
async fn a_second_viewer_sees_the_same_and_types_only_after_it_took_over() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut first = Terminal::start(&page, &mesh.gateway_id()?, &["cat"]).await?;
    first.enter("hello\n")?;
    first.sees("hello\r\nhello\r\n").await?;

    let mut second = Terminal::new(&page, first.target(), pb::Role::Writer);
    second.sees("hello\r\nhello").await?;
    second.until("both are here", |second| second.presence.viewers.len() == 2).await?;
    assert_ne!(second.presence.writer, second.number, "the first one holds the lease");

    second.viewer().take_lease();
    second.until("the lease", |second| second.presence.writer == second.number).await?;
    second.enter("mine\n")?;
    second.sees("mine\r\nmine\r\n").await?;
    first.sees("mine\r\nmine\r\n").await?;
    assert_ne!(first.presence.writer, first.number);
    Ok(())
}

#[tokio::test]
async fn an_attachment_that_may_only_look_never_writes_a_byte() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut writer = Terminal::start(&page, &mesh.gateway_id()?, &["cat"]).await?;
    // A hostile viewer does not follow the rules: it sends input all the same.
    let mut socket = page.open(metadata::ATTACH, writer.target()).await?;
    hostile::send(&mut socket, hostile::attach(pb::Role::Viewer)).await?;
    hostile::send(&mut socket, hostile::input(0, b"intruder\n")).await?;
    let refused = loop {
        if let Some(pb::server_frame::Kind::InputRefused(refused)) = hostile::next(&mut socket).await? {
            break refused;
        }
    };
    assert_eq!((refused.from, refused.to, refused.code()), (0, 9, pb::Code::NotWriter));
    writer.enter("after\n")?;
    writer.sees("after\r\nafter\r\n").await?;
    assert!(!writer.text().contains("intruder"));
    Ok(())
}

#[tokio::test]
async fn the_writers_size_is_the_shells_size() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    terminal.viewer().resize(pb::Winsize { rows: 31, cols: 117 });
    terminal.enter("while [ \"$(stty size)\" != '31 117' ]; do sleep 0.05; done; echo fi''ts\n")?;
    terminal.sees("fits").await
}

#[tokio::test]
async fn a_flood_loses_nothing_for_a_healthy_viewer_and_answers_at_once_when_it_is_interrupted()
-> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    terminal.enter("yes flood\n")?;
    terminal.until("a megabyte", |terminal| terminal.output.len() > 1_000_000).await?;
    assert_eq!(terminal.skips, []);
    terminal.enter("\u{3}")?;
    terminal.enter("echo back-$((1 + 1))\n")?;
    terminal.sees("back-2").await?;
    // Whoever interrupts wants the end of what waited.
    assert!(terminal.skips.len() <= 1, "{:?}", terminal.skips);
    Ok(())
}

#[tokio::test]
async fn all_viewers_but_one_stall_and_the_one_goes_on() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    let mut stalled = Vec::new();
    for number in 1..limits::VIEWERS_PER_SESSION {
        // All that a viewer may have under way, and never read.
        let mut socket = page.open(metadata::ATTACH, terminal.target()).await?;
        let mut attach = hostile::attach(pb::Role::Viewer);
        if let pb::client_frame::Kind::Attach(attach) = &mut attach {
            attach.viewer_id = vec![u8::try_from(number)?; 16].into();
            attach.window_bytes = limits::WINDOW_MAX_BYTES;
        }
        hostile::send(&mut socket, attach).await?;
        stalled.push(socket);
    }
    let all = limits::VIEWERS_PER_SESSION;
    terminal.until("all are here", |terminal| terminal.presence.viewers.len() == all).await?;
    terminal.enter("stty -echo; PS1=; seq 1 400000; echo fin''ished\n")?;
    terminal.sees("finished").await?;
    terminal.enter("echo still-$((1 + 1))\n")?;
    terminal.sees("still-2").await?;
    assert_eq!(terminal.attachments, 1, "{terminal:?}");
    Ok(())
}

#[tokio::test]
async fn sessions_are_made_named_watched_and_ended_from_the_page() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let gateway = mesh.gateway_id()?;
    let folder = mesh.folder().join("work/deep");
    let request = pb::SessionsCreateRequest {
        name: "build".to_owned(),
        folder: folder.to_string_lossy().into_owned(),
        environment: [("COLOUR".to_owned(), "green".to_owned())].into(),
        winsize: Some(pb::Winsize { rows: 40, cols: 100 }),
        ..Default::default()
    };
    let target = page.create_session(&gateway, &request).await?;
    let mut terminal = Terminal::new(&page, &target, pb::Role::Writer);
    terminal.enter("echo \"$PWD $COLOUR\"\n")?;
    terminal.sees(&format!("{} green", folder.display())).await?;

    let rename = pb::SessionsRenameRequest { name: "deploy".to_owned() };
    page.call("/chatcode.v1.Sessions/Rename", &target, &rename)
        .await?
        .decode::<pb::SessionsRenameResponse>()?;
    assert_eq!(get(&page, &target).await?.name, "deploy");

    page.call("/chatcode.v1.Sessions/End", &target, &pb::SessionsEndRequest { force: false })
        .await?
        .decode::<pb::SessionsEndResponse>()?;
    terminal.until("the exit", |terminal| terminal.exit.is_some()).await?;
    Ok(())
}

#[tokio::test]
async fn a_viewer_that_was_told_the_exit_has_its_call_ended_well_by_every_hop() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let command = ["sh", "-c", "exit 3"].map(str::to_owned).to_vec();
    let request = pb::SessionsCreateRequest { command, ..Default::default() };
    let target = page.create_session(&mesh.gateway_id()?, &request).await?;
    let mut socket = page.open(metadata::ATTACH, &target).await?;
    hostile::send(&mut socket, hostile::attach(pb::Role::Viewer)).await?;
    while !matches!(hostile::next(&mut socket).await?, Some(pb::server_frame::Kind::Exited(_))) {}
    let close = loop {
        match soon("the end", socket.next()).await? {
            Some(Ok(Message::Close(close))) => break close,
            Some(Ok(Message::Binary(_))) | None => anyhow::bail!("no close came after the exit"),
            Some(message) => _ = message?,
        }
    };
    assert_eq!(close.map(|close| u16::from(close.code)), Some(pb::Code::Done.websocket()));
    Ok(())
}

#[tokio::test]
async fn the_fleet_watch_tells_of_machines_and_sessions_as_they_change() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut watch = page.open(metadata::FLEET_WATCH, &Target::default()).await?;
    watch.send(Message::Binary(pb::FleetWatchRequest {}.encode_to_vec().into())).await?;
    let gateway = mesh.gateway_id()?;
    let created = page.create_session(&gateway, &pb::SessionsCreateRequest::default()).await?;
    let (mut machine, mut session) = (false, false);
    while !(machine && session) {
        let bytes = soon("an event", chatcode_harness::page::next_binary(&mut watch)).await??;
        match pb::FleetWatchResponse::decode(bytes)?.event {
            Some(pb::fleet_watch_response::Event::GatewayChanged(changed)) => {
                machine |= changed.id == gateway && changed.link_state() == pb::LinkState::Online;
            }
            Some(pb::fleet_watch_response::Event::SessionChanged(changed)) => {
                session |= changed.session.is_some_and(|one| one.id == created.session);
            }
            _ => {}
        }
    }
    Ok(())
}

async fn get(page: &Page, target: &Target) -> anyhow::Result<pb::Session> {
    let answer = page.call("/chatcode.v1.Sessions/Get", target, &pb::SessionsGetRequest {}).await?;
    let session = answer.decode::<pb::SessionsGetResponse>()?.session;
    session.ok_or_else(|| anyhow::anyhow!("no session in the answer"))
}

/// Frames of a viewer that follows no rules.
pub(crate) mod hostile {
    use anyhow::Context as _;
    use chatcode_harness::page::{Socket, next_binary};
    use chatcode_proto::{limits, pb};
    use futures_util::SinkExt as _;
    use prost::Message as _;
    use tokio_tungstenite::tungstenite::Message;

    pub(crate) fn attach(role: pb::Role) -> pb::client_frame::Kind {
        pb::client_frame::Kind::Attach(pb::Attach {
            versions: limits::FRAME_VERSIONS.to_vec(),
            viewer_id: vec![7; 16].into(),
            role: role.into(),
            window_bytes: limits::WINDOW_MIN_BYTES,
            ..Default::default()
        })
    }

    pub(crate) fn input(offset: u64, data: &'static [u8]) -> pb::client_frame::Kind {
        pb::client_frame::Kind::Input(pb::Input { offset, data: data.into() })
    }

    pub(crate) async fn send(socket: &mut Socket, kind: pb::client_frame::Kind) -> anyhow::Result<()> {
        let frame = pb::ClientFrame { kind: Some(kind) }.encode_to_vec();
        socket.send(Message::Binary(frame.into())).await.context("send a frame")
    }

    pub(crate) async fn next(socket: &mut Socket) -> anyhow::Result<Option<pb::server_frame::Kind>> {
        Ok(pb::ServerFrame::decode(next_binary(socket).await?)?.kind)
    }
}
