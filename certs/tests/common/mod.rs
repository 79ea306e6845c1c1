//! An installation in a temporary folder, and TLS handshakes in memory.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and fails by panicking")]

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use chatcode_certs::{Authority, Identity, MemberName, random, tls};
use chatcode_proto::id::MemberId;
use rustls::{
    ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, ServerName},
};

/// A CA of its own.
pub(crate) struct Installation {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) ca: Authority,
}

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn id() -> MemberId {
    MemberId::from_random(random::bytes())
}

impl Installation {
    pub(crate) fn new() -> Self {
        tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::open_or_create(&folder.path().join("ca")).unwrap();
        Self { folder, ca }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("ca")
    }

    pub(crate) fn core(&self) -> Identity {
        self.ca.identity(&MemberName::Core(id()), HOUR).unwrap()
    }

    pub(crate) fn gateway(&self) -> Identity {
        self.ca.identity(&MemberName::Gateway(id()), HOUR).unwrap()
    }

    pub(crate) fn edge(&self) -> Identity {
        self.ca.identity(&MemberName::Edge(id()), HOUR).unwrap()
    }

    pub(crate) fn admin(&self) -> Identity {
        self.ca.identity(&MemberName::Admin(id()), HOUR).unwrap()
    }

    pub(crate) fn dns(&self) -> String {
        self.ca.trust_domain().core_dns()
    }

    /// The intermediate's key, as a thief of the folder would have it.
    pub(crate) fn stolen_issuer(&self) -> rcgen::Issuer<'static, rcgen::KeyPair> {
        let read = |name| std::fs::read_to_string(self.home().join(name)).unwrap();
        let key = rcgen::KeyPair::from_pem(&read("intermediate.key")).unwrap();
        rcgen::Issuer::from_ca_cert_pem(&read("intermediate.pem"), key).unwrap()
    }

    pub(crate) fn intermediate(&self) -> CertificateDer<'static> {
        self.core().chain()[1].clone()
    }
}

/// Both ends after a handshake.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
}

/// What became of a handshake, as each end sees it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) pair: Pair,
    pub(crate) client: Result<(), Error>,
    pub(crate) server: Result<(), Error>,
}

impl Outcome {
    /// Both ends were content.
    #[track_caller]
    pub(crate) fn pair(self) -> Pair {
        self.client.unwrap();
        self.server.unwrap();
        assert!(!self.pair.client.is_handshaking() && !self.pair.server.is_handshaking());
        self.pair
    }

    /// The server was not content, and read nothing of the client's.
    #[track_caller]
    pub(crate) fn refused_by_server(mut self) -> Error {
        assert!(self.pair.server.reader().read_nothing());
        self.server.unwrap_err()
    }

    /// The client was not content, and the server read nothing of its.
    #[track_caller]
    pub(crate) fn refused_by_client(mut self) -> Error {
        assert!(self.pair.server.reader().read_nothing());
        self.client.unwrap_err()
    }
}

trait ReadNothing {
    fn read_nothing(&mut self) -> bool;
}

impl ReadNothing for rustls::Reader<'_> {
    fn read_nothing(&mut self) -> bool {
        !matches!(io::Read::read(self, &mut [0; 1]), Ok(1))
    }
}

/// Lets both ends talk until nobody has anything to say. The client tries to
/// send a secret as soon as it may.
pub(crate) fn handshake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Outcome {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    io::Write::write_all(&mut client.writer(), b"secret").unwrap();
    let (mut client_says, mut server_says) = (Ok(()), Ok(()));
    loop {
        let mut to_server = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut to_server).unwrap();
        }
        feed(&to_server, &mut server_says, |bytes| {
            server.read_tls(bytes).unwrap();
            server.process_new_packets().map(|_| ())
        });
        let mut to_client = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut to_client).unwrap();
        }
        feed(&to_client, &mut client_says, |bytes| {
            client.read_tls(bytes).unwrap();
            client.process_new_packets().map(|_| ())
        });
        if to_server.is_empty() && to_client.is_empty() {
            return Outcome { pair: Pair { client, server }, client: client_says, server: server_says };
        }
    }
}

fn feed(mut bytes: &[u8], says: &mut Result<(), Error>, mut to: impl FnMut(&mut &[u8]) -> Result<(), Error>) {
    while !bytes.is_empty() && says.is_ok() {
        *says = to(&mut bytes);
    }
}
