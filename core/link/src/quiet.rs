//! A socket that wakes its task when there is something to read, and for room to
//! write only after a write has found none.
//!
//! tokio's own sockets are registered with the system for both, and Linux tells of
//! room each time that a packet has left or the other end has read a Unix socket's bytes:
//! the sender of a key would wake once more for nothing, on a CPU that the key
//! needs.

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice, Read as _, Write as _},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use chatcode_proto::limits;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd},
    time::sleep,
};

/// A non-blocking socket, for one task that reads and any number that write.
#[derive(Debug)]
pub(crate) struct Quiet<T: AsFd + AsRawFd> {
    io: AsyncFd<T>,
    /// The last write found no room.
    full: AtomicBool,
    /// The same socket once more, registered for room as long as anybody waits for it.
    room: Mutex<Weak<AsyncFd<OwnedFd>>>,
}

impl<T: AsFd + AsRawFd> Quiet<T> {
    /// Takes a socket that does not block, inside a tokio runtime.
    ///
    /// # Errors
    /// When it cannot be registered with the system.
    pub(crate) fn new(socket: T) -> io::Result<Self> {
        let io = registered(socket, Interest::READABLE)?;
        Ok(Self { io, full: AtomicBool::new(false), room: Mutex::default() })
    }

    /// The socket itself.
    pub(crate) fn get(&self) -> &T {
        self.io.get_ref()
    }

    /// Reads when there is something. `read` says beside its value whether it took all
    /// there was, which spares asking once more; where that is not known, it says no.
    pub(crate) fn poll_read<R>(
        &self,
        context: &mut Context<'_>,
        mut read: impl FnMut(&T) -> io::Result<(R, bool)>,
    ) -> Poll<io::Result<R>> {
        loop {
            let mut ready = ready!(self.io.poll_read_ready(context))?;
            match read(self.get()) {
                Ok((value, all)) => {
                    if all {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(value));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes now. `write` may be called twice, the second time only when the first found
    /// no room.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room: [`Room`] waits for it. Also
    /// without asking the system, while others wait and it has told of none.
    pub(crate) fn try_write<R>(&self, mut write: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        let was_full = self.full.load(Ordering::Acquire);
        if !was_full {
            match write(self.get()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.full.store(true, Ordering::Release);
        }
        let room = self.watched().upgrade();
        match room {
            Some(room) => room.try_io(Interest::WRITABLE, |_| write(self.get())),
            // Nobody waits who would say when there is room again.
            None if was_full => {
                let done = write(self.get());
                let is_full = matches!(&done, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
                self.full.store(is_full, Ordering::Release);
                done
            }
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Weak<AsyncFd<OwnedFd>>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one registration for room that all who wait share.
    fn watch(&self) -> io::Result<Arc<AsyncFd<OwnedFd>>> {
        let mut watched = self.watched();
        if let Some(room) = watched.upgrade() {
            return Ok(room);
        }
        let again = self.get().as_fd().try_clone_to_owned()?;
        let room = Arc::new(registered(again, Interest::WRITABLE)?);
        *watched = Arc::downgrade(&room);
        Ok(room)
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe; sockets of the standard library keep their descriptor to the end"
)]
fn registered<F: AsRawFd>(socket: F, interest: Interest) -> io::Result<AsyncFd<F>> {
    AsyncFd::with_interest(socket, interest)
}

/// One writer's wait for room.
pub(crate) struct Room<T: AsFd + AsRawFd> {
    socket: Arc<Quiet<T>>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl<T: AsFd + AsRawFd> fmt::Debug for Room<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("waits", &self.waiting.is_some()).finish_non_exhaustive()
    }
}

impl<T: AsFd + AsRawFd> Room<T> {
    /// Of this socket.
    pub(crate) const fn of(socket: Arc<Quiet<T>>) -> Self {
        Self { socket, waiting: None }
    }

    /// Ready at once unless the last write found no room; then as soon as there is
    /// some again. A process that has no descriptor to spare for the wait looks again
    /// after [`limits::ROOM_AGAIN`].
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let waiting = match &mut self.waiting {
            Some(waiting) => waiting,
            None if !self.socket.full.load(Ordering::Acquire) => return Poll::Ready(()),
            none => {
                let room = self.socket.watch();
                none.insert(Box::pin(async move {
                    match room {
                        Ok(room) => drop(room.writable().await),
                        Err(_) => sleep(limits::ROOM_AGAIN).await,
                    }
                }))
            }
        };
        ready!(waiting.as_mut().poll(context));
        self.socket.full.store(false, Ordering::Release);
        self.waiting = None;
        Poll::Ready(())
    }
}

/// A Unix stream of which one clone reads and another writes. The connection is
/// closed when the last clone is dropped.
#[derive(Debug)]
pub struct QuietStream {
    socket: Arc<Quiet<UnixStream>>,
    room: Room<UnixStream>,
}

impl QuietStream {
    /// Takes over a connected stream.
    ///
    /// # Errors
    /// When it cannot be registered with the system.
    pub fn new(stream: tokio::net::UnixStream) -> io::Result<Self> {
        let socket = Arc::new(Quiet::new(stream.into_std()?)?);
        Ok(Self { room: Room::of(Arc::clone(&socket)), socket })
    }

    fn poll_with(
        &mut self,
        context: &mut Context<'_>,
        mut write: impl FnMut(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.room.poll(context));
            match self.socket.try_write(&mut write) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl Clone for QuietStream {
    fn clone(&self) -> Self {
        Self { socket: Arc::clone(&self.socket), room: Room::of(Arc::clone(&self.socket)) }
    }
}

impl AsyncRead for QuietStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(self.socket.poll_read(context, |mut stream| {
            let free = buffer.initialize_unfilled();
            let read = stream.read(free)?;
            Ok((read, read > 0 && read < free.len()))
        }))?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for QuietStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_with(context, |mut stream| stream.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_with(context, |mut stream| stream.write_vectored(parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get().shutdown(std::net::Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// More than the buffers of a Unix stream take.
    const MUCH: usize = 4 * 1024 * 1024;

    fn pair() -> (QuietStream, tokio::net::UnixStream) {
        let (near, far) = tokio::net::UnixStream::pair().unwrap();
        (QuietStream::new(near).unwrap(), far)
    }

    #[tokio::test]
    async fn a_writer_that_finds_no_room_goes_on_when_there_is_some() {
        let (mut near, mut far) = pair();
        let text: Vec<u8> = (0..MUCH).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut read = vec![0; MUCH];
        let (written, got) = tokio::join!(near.write_all(&text), far.read_exact(&mut read));
        written.unwrap();
        got.unwrap();
        assert!(read == text, "every byte arrives once, in its turn");
    }

    #[tokio::test]
    async fn all_writers_of_one_socket_go_on_when_there_is_room() {
        let (near, mut far) = pair();
        let one = |mut near: QuietStream| async move { near.write_all(&vec![1; MUCH]).await };
        let writers =
            [tokio::spawn(one(near.clone())), tokio::spawn(one(near.clone())), tokio::spawn(one(near))];
        let mut read = vec![0; 3 * MUCH];
        far.read_exact(&mut read).await.unwrap();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_reader_gets_what_came_in_parts_and_then_the_end() {
        let (mut near, mut far) = pair();
        let mut read = [0; 8];
        for part in [b"abc".as_slice(), b"defgh", b"i"] {
            let (sent, got) = tokio::join!(far.write_all(part), near.read(&mut read));
            sent.unwrap();
            assert_eq!(&read[..got.unwrap()], part);
        }
        far.write_all(b"last").await.unwrap();
        drop(far);
        assert_eq!(near.read(&mut read).await.unwrap(), 4);
        assert_eq!(near.read(&mut read).await.unwrap(), 0, "the end is seen though all was read");
    }

    #[tokio::test]
    async fn the_connection_stands_until_the_last_clone_is_dropped() {
        let (near, mut far) = pair();
        drop(near.clone());
        let mut near = near;
        near.write_all(b"still").await.unwrap();
        let mut read = [0; 5];
        far.read_exact(&mut read).await.unwrap();
        drop(near);
        assert_eq!(far.read(&mut read).await.unwrap(), 0);
    }

    #[test]
    fn a_socket_that_was_full_takes_bytes_again_also_when_nobody_waited_for_room() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = Quiet::new(near).unwrap();
        let mut sent = 0;
        let full = loop {
            match near.try_write(|mut stream| stream.write(&[1; 4096])) {
                Ok(wrote) => sent += wrote,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(near.try_write(|mut stream| stream.write(b"x")).unwrap_err().kind(), full.kind());
        far.read_exact(&mut vec![0; sent]).unwrap();
        assert_eq!(near.try_write(|mut stream| stream.write(b"x")).unwrap(), 1);
        assert!(!near.full.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn a_writer_that_waits_for_room_is_told_when_the_other_end_is_gone() {
        let (mut near, far) = pair();
        let writing = tokio::spawn(async move { near.write_all(&vec![1; MUCH]).await });
        far.readable().await.unwrap();
        drop(far);
        let kind = writing.await.unwrap().unwrap_err().kind();
        assert!(matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{kind:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn writers_on_several_threads_lose_no_room() {
        let (near, far) = tokio::net::UnixStream::pair().unwrap();
        let (near, mut far) = (QuietStream::new(near).unwrap(), QuietStream::new(far).unwrap());
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let mut near = near.clone();
                tokio::spawn(async move { near.write_all(&vec![1; MUCH]).await })
            })
            .collect();
        far.read_exact(&mut vec![0; 4 * MUCH]).await.unwrap();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
    }

    /// What this process asks the system to tell of the socket that this descriptor is,
    /// under whatever number. A set, as tokio holds its epoll twice.
    #[cfg(target_os = "linux")]
    fn asked(fd: i32) -> std::collections::BTreeSet<(i32, u32)> {
        let file = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).ok();
        let own = file(fd);
        let about = |fd: std::fs::DirEntry| std::fs::read_to_string(fd.path()).unwrap_or_default();
        let all: String = std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten().map(about).collect();
        let line = |line: &str| {
            let mut words = line.strip_prefix("tfd:")?.split_whitespace();
            let fd = words.next()?.parse().ok()?;
            Some((fd, u32::from_str_radix(words.nth(1)?, 16).ok()?))
        };
        all.lines().filter_map(line).filter(|(fd, _)| file(*fd) == own).collect()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_is_asked_for_room_only_while_a_writer_waits_for_it() {
        /// `EPOLLOUT`.
        const ROOM: u32 = 4;
        let (near, far) = pair();
        let mut far = QuietStream::new(far).unwrap();
        let mut writer = near.clone();
        let fd = near.socket.get().as_raw_fd();
        let waits = || asked(fd).iter().filter(|(_, events)| events & ROOM != 0).count();
        writer.write_all(b"key").await.unwrap();
        assert_eq!((asked(fd).len(), waits()), (1, 0), "{:?}", asked(fd));

        let text = vec![1; MUCH];
        {
            let mut writing = std::pin::pin!(writer.write_all(&text));
            let waiting =
                std::future::poll_fn(|context| Poll::Ready(writing.as_mut().poll(context).is_pending()));
            assert!(waiting.await, "there is no room for so much");
            assert_eq!(waits(), 1);
            let mut read = vec![0; MUCH + 3];
            let (written, got) = tokio::join!(writing, far.read_exact(&mut read));
            written.unwrap();
            got.unwrap();
        }
        assert_eq!(waits(), 0, "and no longer");
    }
}
