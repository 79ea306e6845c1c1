//! A web server of this machine that gives releases, and notes what it is asked for.

use std::{fs, path::PathBuf};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::watch,
};

use crate::core::soon;

pub(crate) struct Web {
    /// Where it is.
    pub(crate) address: String,
    asked: watch::Receiver<Vec<String>>,
}

impl Web {
    /// Gives the files of a folder; of several each below its number.
    pub(crate) async fn of(folders: Vec<PathBuf>) -> Self {
        Self::start(move |path| {
            let (folder, path) = match (&*folders, path.split_once('/')) {
                ([one], _) => (Some(one), path),
                (several, Some((number, path))) => {
                    (number.parse().ok().and_then(|n: usize| several.get(n)), path)
                }
                _ => (None, path),
            };
            folder.and_then(|folder| fs::read(folder.join(path)).ok()).map_or_else(
                || ("404 Not Found", String::new(), Vec::new()),
                |body| ("200 OK", String::new(), body),
            )
        })
        .await
    }

    /// Has only ever another address for whatever is asked for.
    pub(crate) async fn moved_to(base: String) -> Self {
        Self::start(move |path| ("302 Found", format!("Location: {base}/{path}\r\n"), Vec::new())).await
    }

    async fn start(answer: impl Fn(&str) -> (&'static str, String, Vec<u8>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (note, asked) = watch::channel(Vec::new());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
                let (status, more, body) = answer(&path);
                note.send_modify(|asked| asked.push(path));
                let head = format!(
                    "HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&body).await.unwrap();
            }
        });
        Self { address, asked }
    }

    /// How often files were asked for whose path begins so.
    pub(crate) fn asked_for(&self, path: &str) -> usize {
        self.asked.borrow().iter().filter(|one| one.starts_with(path)).count()
    }

    /// Waits until it was that often.
    pub(crate) async fn is_asked_for(&mut self, path: &str, times: usize) {
        let often = |asked: &Vec<String>| asked.iter().filter(|one| one.starts_with(path)).count() >= times;
        soon("a look for a release", self.asked.wait_for(often)).await.unwrap();
    }
}
