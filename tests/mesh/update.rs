//! The programs of a machine, asked for through the core.

use chatcode_harness::{Mesh, eventually};
use chatcode_proto::{
    metadata,
    pb::{self, host_client::HostClient},
};
use tonic::Request;

fn on<T>(body: T, gateway: &str) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(body);
    request.metadata_mut().insert(metadata::GATEWAY, gateway.parse()?);
    Ok(request)
}

#[tokio::test]
async fn a_machine_tells_its_version_and_each_update_that_is_asked_for_is_in_the_audit() -> anyhow::Result<()>
{
    let mesh = Mesh::start().await?;
    let id = mesh.gateway_id()?;
    let mut host = HostClient::new(mesh.channel()?);
    let status = host.update_status(on(pb::HostUpdateStatusRequest {}, &id)?).await?.into_inner().status;
    let status = status.unwrap_or_default();
    assert_eq!(status.installed, env!("CARGO_PKG_VERSION"));
    assert!(status.problem.contains("was not installed from a release"), "{}", status.problem);

    let order = pb::HostUpdateRequest { version: String::new(), look_only: false };
    host.update(on(order, &id)?).await?;
    eventually("the end of the update", async || {
        let status = host.update_status(on(pb::HostUpdateStatusRequest {}, &id)?).await?.into_inner().status;
        let status = status.unwrap_or_default();
        Ok((status.state() == pb::UpdateState::Unspecified
            && status.problem.contains("no place of releases"))
        .then_some(()))
    })
    .await?;
    let wrong = pb::HostUpdateRequest { version: "newest".to_owned(), look_only: false };
    assert!(
        host.update(on(wrong, &id)?).await.is_err_and(|status| status.message().contains("is no version"))
    );
    let rows = mesh.audit().await?;
    let asked: Vec<_> = rows.iter().filter(|row| row.action.ends_with("Host/Update")).collect();
    assert!(
        asked.len() >= 2 && asked.iter().all(|row| row.gateway == id && row.principal.starts_with("admin/")),
        "{rows:?}"
    );
    Ok(())
}
